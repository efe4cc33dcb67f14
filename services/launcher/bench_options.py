"""What the benchmarks' options take. Each function is a `type` of argparse: what is wrong becomes its sentence."""

import argparse
import json


def count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"a whole number from 1 on is wanted, not {text!r}")
    return int(text)


def counts(text: str) -> list[int]:
    try:
        return [count(part.strip()) for part in text.split(",")]
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"whole numbers from 1 on with commas between are wanted, such as 1,25,50; not {text!r}"
        ) from None


def share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"a number from 0 to 1 is wanted, not {text!r}")
    return value


def minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 24 * 60:
        raise argparse.ArgumentTypeError(f"minutes above 0 and up to a day are wanted, not {text!r}")
    return value


def silence_ms(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 200 <= int(text) <= 3000:
        raise argparse.ArgumentTypeError(f"milliseconds from 200 to 3000 are wanted, not {text!r}")
    return int(text)


def settings(text: str) -> dict[str, object]:
    """Some of a session's settings, as JSON; the silence has an option of its own."""
    import msgspec

    from services.contracts.settings import SettingsPatch

    try:
        given: object = json.loads(text)
        if not isinstance(given, dict):
            raise argparse.ArgumentTypeError(f'a JSON object is wanted, such as {{"duplex": "full"}}; not {text!r}')
        if "silence_ms" in given:
            raise argparse.ArgumentTypeError("silence_ms has an option of its own, --silence-ms")
        msgspec.convert(given, SettingsPatch)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from None
    except msgspec.ValidationError as error:
        raise argparse.ArgumentTypeError(f"{text} is no settings of a session: {error}") from None
    return given
