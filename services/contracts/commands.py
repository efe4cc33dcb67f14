"""What a client says in JSON. Each is a message `{"type": <tag>, ...}`.

`decode` is the only way in: what it returns is complete and within limits.
"""

import unicodedata
from typing import Annotated

import msgspec
from msgspec import Meta

from services.contracts import refusal
from services.contracts.errors import Code
from services.contracts.settings import SettingsPatch

PROTOCOL = 1
MAX_JSON_BYTES = 32 * 1024
MAX_TEXT_CHARS = 4000

_Generation = Annotated[int, Meta(ge=0, lt=2**32)]
_ClientMs = Annotated[float, Meta(ge=0, lt=1e14)]
"""Milliseconds since 1970 on the client's clock; fractions welcome."""


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """The base of all commands. Unknown fields are ignored, so that newer clients can talk to older servers."""


class Hello(Command, tag="hello", frozen=True, kw_only=True):
    """First message of a connection: opens a session, or takes one up again with its token."""

    protocol: int
    token: Annotated[str, Meta(max_length=200)] = ""
    """From `ready`; empty: a new session."""
    last_sequence: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    """With a token: the sequence number of the last message seen; what came after it is sent again."""
    settings: SettingsPatch = SettingsPatch()
    client: Annotated[str, Meta(max_length=100)] = ""
    """Name and version, for the log."""
    traceparent: Annotated[str, Meta(max_length=200)] = ""
    """W3C Trace Context of what the client does: the trace of its connection becomes part of that one."""


class StartListening(Command, tag="start_listening", frozen=True, kw_only=True):
    """Audio frames from now on are the user's speech."""


class StopListening(Command, tag="stop_listening", frozen=True, kw_only=True):
    """No more audio comes. What was said so far is answered."""


class UserMessage(Command, tag="user_message", frozen=True, kw_only=True):
    """A typed message; takes the same path to the answer as a spoken one."""

    text: str
    at_ms: _ClientMs = 0
    """When it was sent, for the time ledger."""


class Interrupt(Command, tag="interrupt", frozen=True, kw_only=True):
    """Stop the answer. History keeps what `played` acknowledged; send that first."""


class Cancel(Command, tag="cancel", frozen=True, kw_only=True):
    """Drop what is being said and what is being thought; nothing of it is answered or kept."""


class Reset(Command, tag="reset", frozen=True, kw_only=True):
    """Stop everything and forget the context and the history."""


class Settings(Command, tag="settings", frozen=True, kw_only=True):
    """Change settings; takes effect with the next turn."""

    settings: SettingsPatch


class PlaybackStarted(Command, tag="playback_started", frozen=True, kw_only=True):
    """The first sample of an answer left the player."""

    generation: _Generation
    received_ms: _ClientMs
    """When the answer's first audio frame arrived."""
    started_ms: _ClientMs
    """When its first sample was played."""
    server_ahead_ms: Annotated[float, Meta(gt=-1e14, lt=1e14)] | None = None
    """How far the server's clock is ahead of the client's, from the `pong` with the shortest round trip: `server_ms`
    less the middle between sending `ping` and hearing its answer. It tells the way there from the way back."""


class Played(Command, tag="played", frozen=True, kw_only=True):
    """How much of an answer has been heard. Sent about every 200 ms while playing, and once at its end."""

    generation: _Generation
    samples: Annotated[int, Meta(ge=0, lt=2**32)]
    """Samples of this answer that left the player, counted from its start."""
    underruns: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    """How often the player ran dry within this answer."""


class ExportHistory(Command, tag="export_history", frozen=True, kw_only=True):
    """Ask for the whole kept history with times and latencies."""


class Ping(Command, tag="ping", frozen=True, kw_only=True):
    """Answered with `pong`; keeps idle connections open through proxies."""

    at_ms: _ClientMs = 0


AnyCommand = (
    Hello
    | StartListening
    | StopListening
    | UserMessage
    | Interrupt
    | Cancel
    | Reset
    | Settings
    | PlaybackStarted
    | Played
    | ExportHistory
    | Ping
)
_decoder = msgspec.json.Decoder(AnyCommand)
_tag_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KINDS: dict[str, type[Command]] = {str(kind.__struct_config__.tag): kind for kind in AnyCommand.__args__}  # type: ignore[attr-defined]
TAGS = frozenset(_KINDS)


class CommandError(ValueError):
    """A message that is no command: `code` says how, the text says what was wrong."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def decode(message: bytes | str) -> AnyCommand:
    """The command in a JSON message. Raises CommandError."""
    if len(message) > MAX_JSON_BYTES:
        raise CommandError(
            Code.MESSAGE_TOO_LARGE,
            f"A message has at most {MAX_JSON_BYTES} bytes; this one has {len(message)}.",
        )
    try:
        command = _decoder.decode(message)
    except msgspec.ValidationError as error:
        raise CommandError(*_diagnose(message, error)) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CommandError(Code.MALFORMED_JSON, f"That message is not JSON: {error}.") from error
    if isinstance(command, UserMessage):
        if all(unicodedata.category(character)[0] in "CZ" for character in command.text):
            raise CommandError(Code.TEXT_EMPTY, "A message needs at least one visible character.")
        if len(command.text) > MAX_TEXT_CHARS:
            raise CommandError(
                Code.TEXT_TOO_LONG,
                f"A message has at most {MAX_TEXT_CHARS} characters; this one has {len(command.text)}.",
            )
    return command


def _diagnose(message: bytes | str, error: msgspec.ValidationError) -> tuple[Code, str]:
    """Which of the three ways to be wrong a well-formed message took."""
    try:
        tag = msgspec.json.decode(_tag_decoder.decode(message)["type"], type=str)
    except (msgspec.DecodeError, KeyError, RecursionError):
        return Code.INVALID_COMMAND, 'A command is a JSON object with a "type", such as {"type": "ping"}.'
    if tag not in TAGS:
        return Code.UNKNOWN_TYPE, f"There is no command {tag[:64]!r}; known are {', '.join(sorted(TAGS))}."
    text = refusal.explain(error, message, _KINDS[tag])
    if "$.settings" in str(error):
        return Code.INVALID_SETTING, f"{text}."
    return Code.INVALID_COMMAND, f"In {tag}: {text}."


def encode(command: AnyCommand) -> bytes:
    """The command as JSON, for clients written in Python."""
    return msgspec.json.encode(command)
