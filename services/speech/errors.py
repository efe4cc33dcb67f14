"""Why a speech model did not answer."""

from enum import StrEnum


class Reason(StrEnum):
    AT_CAPACITY = "at_capacity"
    """Every replica's slots are taken."""
    UNREACHABLE = "unreachable"
    """No replica answers at all."""
    FAILED = "failed"
    """A model tried and could not."""
    DEADLINE = "deadline"
    """No answer in time."""


class SpeechError(Exception):
    """The base of both."""


class SpeechUnavailable(SpeechError):
    """The model cannot answer just now; another time it may. The text is a sentence for the log."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SpeechRejected(SpeechError):
    """The request itself is wrong, such as a voice that does not exist: asking again would fail again."""
