"""The JSON in the Triton contracts. docs/triton.md describes the tensors around it."""

from typing import Literal

import msgspec

from services.contracts.events import Segment, Word


class RecognitionOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The `OPTIONS` input of a recognition model, one per request on the utterance's stream."""

    utterance: str
    """The utterance's id. The model keeps its audio and forgets it after 10 s without a request."""
    kind: Literal["append", "partial", "final", "drop"]
    """append: take the samples, answer nothing. partial: and answer what is recognised so far.
    final: and answer the transcript. drop: forget the utterance at once, answer nothing."""
    speculative: bool = False
    """With `final`: the user may go on; the utterance stays and further samples may follow."""
    first: bool = False
    """This request starts the utterance. Without it an id that the model does not know is an error."""
    language: str = "auto"
    task: Literal["transcribe", "translate"] = "transcribe"
    prompt: str = ""
    word_times: bool = False
    deadline_ms: int = 0
    """The caller has no use for the answer so many milliseconds after the request; 0: none."""


class RecognitionResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The `RESULT` output."""

    utterance: str
    text: str
    committed: int = 0
    """So many leading characters of `text` will not change any more."""
    segments: list[Segment] = []
    words: list[Word] = []
    language: str = ""
    language_probability: float = 0.0
    is_final: bool = False
    audio_seconds: float = 0.0
    """How much of the utterance the model has heard."""


UTTERANCE_UNKNOWN = "utterance_unknown"
"""How the message of a recognition error begins when the model has forgotten the utterance: send its audio again."""
UTTERANCE_FORGOTTEN_SECONDS = 10.0

AT_CAPACITY = "at_capacity"
"""How the message begins when every slot is taken: ask another replica. The status is UNAVAILABLE."""
INVALID_REQUEST = "invalid_request"
"""How it begins when asking again would fail again."""
DEADLINE_EXCEEDED = "deadline_exceeded"
"""How it begins when the request waited longer than its `deadline_ms`."""
MODEL_FAILED = "model_failed"
"""How it begins when the model could not do its work."""

STOP_PARAMETER = "stop"
"""Request parameter of a synthesis model: the id of an earlier request that is to end. Answered with FINAL only."""

SPECULATIVE_PARAMETER = "speculative"
"""Request parameter of a synthesis model, boolean: the sentence may never be wanted. It is taken while over a quarter
of the slots is free, and otherwise refused as `at_capacity`, which does not count as rejected."""
