"""Options that make no sense are answered with one sentence, before anything starts."""

import pytest

from services.launcher import cli


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("density", "--sessions", "1,a"), "whole numbers from 1 on with commas between are wanted, such as 1,25,50"),
        (("density", "--sessions", "0"), "whole numbers from 1 on"),
        (("density", "--sessions", ""), "whole numbers from 1 on"),
        (("bargein", "--sessions", "-1"), "a whole number from 1 on is wanted"),
        (("density", "--turns", "0"), "a whole number from 1 on is wanted, not '0'"),
        (("density", "--pauses", "30"), "a number from 0 to 1 is wanted, not '30'"),
        (("speculation", "--silence-ms", "100"), "milliseconds from 200 to 3000 are wanted, not '100'"),
        (("density", "--settings", "{"), "'{' is no JSON"),
        (("density", "--settings", "[]"), "a JSON object is wanted"),
        (("density", "--settings", '{"duplexx": "full"}'), "unknown field `duplexx`"),
        (("density", "--settings", '{"duplex": "both"}'), "Invalid enum value 'both'"),
        (("density", "--settings", '{"silence_ms": 300}'), "--silence-ms"),
        (("turn", "--standins", "--settings", "no"), "'no' is no JSON"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(
    arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", *arguments])
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"parley bench {arguments[0]}: error: argument ")
    assert sentence in last


def test_what_makes_sense_is_taken():
    options = cli.parser().parse_args(
        ["bench", "density", "--sessions", "1, 25", "--settings", '{"duplex": "full"}', "--pauses", "0"]
    )
    assert (options.sessions, options.settings, options.pauses) == ([1, 25], {"duplex": "full"}, 0)
    assert cli.parser().parse_args(["bench", "speculation"]).silence_ms == 500
    assert cli.parser().parse_args(["bench", "density"]).sessions == [1, 10, 25, 50]
