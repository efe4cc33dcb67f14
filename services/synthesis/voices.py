"""Which eSpeak NG voice a character's `Voice` means."""

import difflib
import math
from collections.abc import Set
from dataclasses import dataclass

from services.contracts.characters import Voice
from services.synthesis.errors import VoiceUnknown
from services.synthesis.espeak_library import MAX_WORDS_PER_MINUTE, MIN_WORDS_PER_MINUTE, WORDS_PER_MINUTE

DEFAULT_PRESET = "en-us"
MIN_SPEED, MAX_SPEED = 0.5, 2.0


@dataclass(frozen=True)
class EspeakVoice:
    name: str
    """As eSpeak NG takes it: a voice, and after "+" a variant."""
    words_per_minute: int


def choose(voice: Voice, voices: Set[str], variants: Set[str]) -> EspeakVoice:
    """The engine's voice of `voice.preset` ("en-us", "en-us+f3") at `voice.speed`.

    eSpeak NG itself takes an unknown variant in silence and speaks with the plain voice, so both halves are
    looked up. Raises VoiceUnknown.
    """
    preset = voice.preset or DEFAULT_PRESET
    name, plus, variant = preset.partition("+")
    if name not in voices and name.lower() not in voices:
        raise VoiceUnknown(f"there is no voice '{name}' (preset '{preset}'); {_offer(name, voices, 'en', 'voices')}")
    if plus and variant not in variants:
        raise VoiceUnknown(
            f"there is no variant '{variant}' (preset '{preset}'); {_offer(variant, variants, '', 'variants')}"
        )
    if not (math.isfinite(voice.speed) and MIN_SPEED <= voice.speed <= MAX_SPEED):
        raise VoiceUnknown(f"speed is between {MIN_SPEED} and {MAX_SPEED}; this voice has {voice.speed}")
    rate = round(WORDS_PER_MINUTE * voice.speed)
    known = name if name in voices else name.lower()
    return EspeakVoice(f"{known}{plus}{variant}", min(max(rate, MIN_WORDS_PER_MINUTE), MAX_WORDS_PER_MINUTE))


def _offer(wanted: str, known: Set[str], prefix: str, kind: str) -> str:
    """Names like the wanted one first, then the rest that begin with `prefix`."""
    close = difflib.get_close_matches(wanted, sorted(known), n=3)
    rest = sorted(name for name in known if name.startswith(prefix) and "/" not in name and name not in close)
    return f"{kind} there are: {', '.join(close + rest)}"
