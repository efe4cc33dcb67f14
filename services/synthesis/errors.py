"""What synthesis can answer instead of sound. `failure` is the name that the Triton contract gives it."""

from typing import ClassVar

from services.contracts import speech


class SynthesisError(Exception):
    failure: ClassVar[str] = speech.MODEL_FAILED


class EngineError(SynthesisError):
    """The engine could not be loaded or refused a call; the text says which."""


class AtCapacity(SynthesisError):
    """Every slot is speaking."""

    failure = speech.AT_CAPACITY


class VoiceUnknown(SynthesisError):
    """The engine has no such voice; the text names those it has."""

    failure = speech.INVALID_REQUEST


class TextInvalid(SynthesisError):
    """Nothing to say, or too much."""

    failure = speech.INVALID_REQUEST
