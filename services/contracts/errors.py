"""Every error a client can meet: its code, what it means, whether the session goes on.

`docs/protocol.md` lists the same table; a test holds the two together.
"""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    # What the client sent.
    MALFORMED_JSON = "malformed_json"
    UNKNOWN_TYPE = "unknown_type"
    INVALID_COMMAND = "invalid_command"
    INVALID_SETTING = "invalid_setting"
    MESSAGE_TOO_LARGE = "message_too_large"
    TEXT_EMPTY = "text_empty"
    TEXT_TOO_LONG = "text_too_long"
    MALFORMED_FRAME = "malformed_frame"
    FRAME_OUT_OF_ORDER = "frame_out_of_order"
    HELLO_REQUIRED = "hello_required"
    HELLO_TIMEOUT = "hello_timeout"
    UNSUPPORTED_PROTOCOL = "unsupported_protocol"
    RATE_LIMITED = "rate_limited"
    ORIGIN_REFUSED = "origin_refused"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    TOKEN_INVALID = "token_invalid"
    SLOW_CLIENT = "slow_client"
    # Where the session lives.
    AT_CAPACITY = "at_capacity"
    NO_WORKER = "no_worker"
    WORKER_LOST = "worker_lost"
    SESSION_UNKNOWN = "session_unknown"
    SESSION_SUPERSEDED = "session_superseded"
    SESSION_IDLE = "session_idle"
    SERVER_DRAINING = "server_draining"
    # What the models did.
    RECOGNITION_UNAVAILABLE = "recognition_unavailable"
    SYNTHESIS_UNAVAILABLE = "synthesis_unavailable"
    LANGUAGE_TIMEOUT = "language_timeout"
    LANGUAGE_FAILED = "language_failed"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True)
class Meaning:
    message: str
    """What a person can act on. Shown as it is when the place of the error has nothing more exact."""
    recoverable: bool
    """True: this session goes on, or resumes with its token. False: start a new one, or change something first."""
    close: int | None = None
    """The WebSocket close code, when this error ends the connection."""


MEANINGS: dict[Code, Meaning] = {
    Code.MALFORMED_JSON: Meaning("That message is not JSON.", True),
    Code.UNKNOWN_TYPE: Meaning("There is no command of that type; docs/protocol.md lists them.", True),
    Code.INVALID_COMMAND: Meaning("That command lacks a field or has a wrong one.", True),
    Code.INVALID_SETTING: Meaning("That setting does not exist or does not take this value.", True),
    Code.MESSAGE_TOO_LARGE: Meaning("A message has at most 32 KiB.", False, 1009),
    Code.TEXT_EMPTY: Meaning("A message needs at least one visible character.", True),
    Code.TEXT_TOO_LONG: Meaning("A message has at most 4000 characters; please shorten it.", True),
    Code.MALFORMED_FRAME: Meaning("A binary message is a 24-byte header and 16-bit samples.", True),
    Code.FRAME_OUT_OF_ORDER: Meaning("An audio frame's number must be higher than the one before.", True),
    Code.HELLO_REQUIRED: Meaning("The first message of a connection is hello; nothing else is taken before it.", True),
    Code.HELLO_TIMEOUT: Meaning("No hello came within 10 seconds of connecting.", True, 4408),
    Code.UNSUPPORTED_PROTOCOL: Meaning("This server speaks version 1 of the protocol.", False, 4406),
    Code.RATE_LIMITED: Meaning("Messages came faster than a conversation needs; some were not taken.", True),
    Code.ORIGIN_REFUSED: Meaning("Pages of that origin may not connect; see PARLEY_ALLOWED_ORIGINS.", False),
    Code.TOO_MANY_CONNECTIONS: Meaning("Too many connections from this address; try again in a few seconds.", True),
    Code.TOKEN_INVALID: Meaning("That session token is not one of this server's; start a new session.", False, 4401),
    Code.SLOW_CLIENT: Meaning("The connection is too slow for the conversation; reconnect to go on.", True, 4413),
    Code.AT_CAPACITY: Meaning("All places are taken just now; try again in a minute.", True, 4429),
    Code.NO_WORKER: Meaning("No dialogue worker is running; the service is starting or down.", True, 4503),
    Code.WORKER_LOST: Meaning("The part that held this conversation stopped; it is being taken up elsewhere.", True),
    Code.SESSION_UNKNOWN: Meaning("That conversation has ended or expired; start a new one.", False, 4404),
    Code.SESSION_SUPERSEDED: Meaning("This conversation was taken up on another connection.", False, 4409),
    Code.SESSION_IDLE: Meaning("Nothing was said for a long while; the conversation was closed.", True, 4410),
    Code.SERVER_DRAINING: Meaning("The server is being replaced; reconnect to go on.", True, 1012),
    Code.RECOGNITION_UNAVAILABLE: Meaning("Speech recognition is not available just now; you can type.", True),
    Code.SYNTHESIS_UNAVAILABLE: Meaning("The voice is not available just now; the answer is shown as text.", True),
    Code.LANGUAGE_TIMEOUT: Meaning("The language model took too long; please ask again.", True),
    Code.LANGUAGE_FAILED: Meaning("The language model could not answer; please ask again.", True),
    Code.INTERNAL_ERROR: Meaning("Something went wrong on our side; it was logged.", True),
}
