"""The named moments of a turn and the parts between them.

A turn's ledger is the list of moments it passed; a part is the time between two moments that follow
each other, owned by who can shorten it. The parts of a turn sum to what the listener felt.
"""

from enum import StrEnum
from typing import Literal

import msgspec

Owner = Literal["setting", "recognition", "language", "synthesis", "parley", "network", "player"]


class Moment(StrEnum):
    """In the order in which a spoken turn passes them. A typed turn has no SPEECH_ENDED."""

    CAPTURED = "captured"
    """The client's microphone took the user's last speech sample, or the message was sent off."""
    EDGE_HEARD = "edge_heard"
    """The edge got it."""
    SPEECH_ENDED = "speech_ended"
    """The user's last speech sample reached the worker."""
    TURN_ENDED = "turn_ended"
    """Endpointing decided that the user is done, or a typed message arrived."""
    TRANSCRIBED = "transcribed"
    """The final transcript is there."""
    ASKED = "asked"
    """The language model was asked."""
    FIRST_TOKEN = "first_token"
    FIRST_SENTENCE = "first_sentence"
    """The first speakable piece was cut and given to synthesis."""
    FIRST_CHUNK = "first_chunk"
    """Synthesis returned the first samples."""
    AUDIO_SENT = "audio_sent"
    """The worker sent the first audio frame."""
    EDGE_TOOK = "edge_took"
    """The edge got it."""
    EDGE_SENT = "edge_sent"
    """The edge has written it to the client's connection."""
    RECEIVED = "received"
    """The client got it."""
    PLAYED = "played"
    """The first sample left the client's player."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    owner: Owner
    ms: float


PARTS: tuple[tuple[str, Owner, Moment, Moment], ...] = (
    ("to the edge", "network", Moment.CAPTURED, Moment.EDGE_HEARD),
    ("edge to worker", "parley", Moment.EDGE_HEARD, Moment.SPEECH_ENDED),
    ("end of turn", "setting", Moment.SPEECH_ENDED, Moment.TURN_ENDED),
    ("recognition", "recognition", Moment.TURN_ENDED, Moment.TRANSCRIBED),
    ("turn taking", "parley", Moment.TRANSCRIBED, Moment.ASKED),
    ("first token", "language", Moment.ASKED, Moment.FIRST_TOKEN),
    ("first sentence", "language", Moment.FIRST_TOKEN, Moment.FIRST_SENTENCE),
    ("voice", "synthesis", Moment.FIRST_SENTENCE, Moment.FIRST_CHUNK),
    ("sending", "parley", Moment.FIRST_CHUNK, Moment.AUDIO_SENT),
    ("worker to edge", "parley", Moment.AUDIO_SENT, Moment.EDGE_TOOK),
    ("edge", "parley", Moment.EDGE_TOOK, Moment.EDGE_SENT),
    ("to the client", "network", Moment.EDGE_SENT, Moment.RECEIVED),
    ("player", "player", Moment.RECEIVED, Moment.PLAYED),
)
"""Name, owner, from, to. In a typed turn "edge to worker" ends at TURN_ENDED."""

NETWORK = "network"
"""In place of the ways to and from the client, and of those over the edge, where nobody could tell them apart."""
