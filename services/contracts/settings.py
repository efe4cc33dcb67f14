"""What a user can set during a session. Unknown names and values out of range are refused by name."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

ResponseMode = Literal["llm", "template", "echo"]
_NAME = r"^(?!\s)[^\x00-\x1f\x7f-\x9f\u2028\u2029]*(?<!\s)\Z"
"""What a person can have typed on one line. `\\Z`: a `$` would let a line's end pass."""
CharacterId = Annotated[str, Meta(min_length=1, max_length=64)]
Model = Annotated[
    str,
    Meta(
        max_length=200,
        pattern=_NAME,
        extra={"takes": "a name of at most 200 characters, on one line and without spaces around it"},
    ),
]
Temperature = Annotated[float, Meta(ge=0, le=2)]
AnswerTokens = Annotated[int, Meta(ge=16, le=2000)]
ContextTurns = Annotated[int, Meta(ge=0, le=50)]
Language = Annotated[
    str,
    Meta(
        pattern=r"^(auto|[a-z]{2,3})\Z",
        extra={"takes": "auto or a language's code of two or three letters, such as en"},
    ),
]
PauseSensitivity = Annotated[int, Meta(ge=0, le=3)]
SilenceMs = Annotated[int, Meta(ge=200, le=3000)]
Speed = Annotated[float, Meta(ge=0.5, le=2)]
Duplex = Literal["half", "full"]
Speculation = Literal["auto", "on", "off"]
Seed = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    character: CharacterId = "aria"
    """Who answers."""
    response_mode: ResponseMode = "llm"
    """Where answers come from; `llm` is taken only while a language model is configured."""
    model: Model = ""
    """A model of the configured server; empty: the server's default."""
    temperature: Temperature = 0.7
    answer_tokens: AnswerTokens = 150
    context_turns: ContextTurns = 5
    """Turns of the past that the language model is shown."""
    language: Language = "en"
    pause_sensitivity: PauseSensitivity = 1
    """How readily quiet counts as a pause: 0 bears with soft, hesitant speech; 3 suits a noisy room."""
    silence_ms: SilenceMs = 500
    """Silence after the last speech that ends the user's turn. 300 is quick, 700 patient."""
    adaptive_silence: bool = True
    """Wait longer than `silence_ms` after a sentence that is plainly unfinished, and a little less after a question."""
    duplex: Duplex = "half"
    """full: the user is heard while an answer sounds, and interrupts it by talking; the client must cancel its echo."""
    speculation: Speculation = "auto"
    """Prepare the answer in the pause, before the turn is known to be over. auto: not where answers cost money; on:
    even there, if the operator allows it; off: never. (The transcript is prepared for `adaptive_silence`, too.)"""
    speed: Speed = 1.0
    seed: Seed | None = None


class SettingsPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Some of SessionSettings; what is not given stays as it is."""

    character: CharacterId | UnsetType = UNSET
    response_mode: ResponseMode | UnsetType = UNSET
    model: Model | UnsetType = UNSET
    temperature: Temperature | UnsetType = UNSET
    answer_tokens: AnswerTokens | UnsetType = UNSET
    context_turns: ContextTurns | UnsetType = UNSET
    language: Language | UnsetType = UNSET
    pause_sensitivity: PauseSensitivity | UnsetType = UNSET
    silence_ms: SilenceMs | UnsetType = UNSET
    adaptive_silence: bool | UnsetType = UNSET
    duplex: Duplex | UnsetType = UNSET
    speculation: Speculation | UnsetType = UNSET
    speed: Speed | UnsetType = UNSET
    seed: Seed | UnsetType | None = UNSET


def apply(settings: SessionSettings, patch: SettingsPatch) -> SessionSettings:
    """The settings with the patch's given fields replaced."""
    given = {name: value for name in patch.__struct_fields__ if (value := getattr(patch, name)) is not UNSET}
    return msgspec.structs.replace(settings, **given)
