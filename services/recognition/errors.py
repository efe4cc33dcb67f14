"""What recognition can answer instead of words. `failure` is the name that the Triton contract gives it."""

from typing import ClassVar

from services.contracts import speech


class RecognitionError(Exception):
    failure: ClassVar[str] = speech.MODEL_FAILED


class DecoderError(RecognitionError):
    """The engine could not be loaded or refused a call; the text says which."""


class AtCapacity(RecognitionError):
    """Every slot holds an utterance, or one utterance sends faster than it is heard."""

    failure = speech.AT_CAPACITY


class UtteranceUnknown(RecognitionError):
    """Nobody started this utterance here, or it has been forgotten."""

    failure = speech.UTTERANCE_UNKNOWN


class UtteranceTooLong(RecognitionError):
    """More audio than one utterance may have."""

    failure = speech.INVALID_REQUEST


class AudioInvalid(RecognitionError):
    """The samples are not numbers."""

    failure = speech.INVALID_REQUEST


class DeadlineExceeded(RecognitionError):
    """The request waited longer than its caller has use for the answer."""

    failure = speech.DEADLINE_EXCEEDED
