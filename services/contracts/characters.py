"""Characters and their voices."""

import msgspec

SLOWEST, FASTEST = 0.5, 2.0
"""The paces that a voice can be asked for."""


class Voice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one character sounds. This is the JSON that the synthesis models take as `VOICE`.

    Each engine reads what it knows and ignores the rest.
    """

    preset: str = ""
    """A voice that the engine has by name (embedded engine: an espeak-ng voice such as "en-us+f3")."""
    description: str = ""
    """Speaker description in words, for models that take one."""
    scene: str = ""
    """Scene prompt, for models that take one."""
    style: str = "neutral"
    reference: str = ""
    """Id of a reference recording to clone."""
    speed: float = 1.0
    """1.0 is the voice's own pace; 0.5 to 2.0."""
    seed: int | None = None
    temperature: float = 0.7
    top_k: int = 50
    top_p: float = 0.95


class Character(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    persona: str
    """What the language model is told it is."""
    greeting: str = ""
    """Shown by the page before the first turn."""
    voice: Voice = Voice()
    language: str = "en"
    speaker: str = "SPEAKER0"
    """The tag that marks this character's lines in a multi-speaker text."""
    color: str = "#7c5cff"
    """For the page: the character's accent colour."""
