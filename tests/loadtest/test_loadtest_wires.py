"""The two wires: Parley's own, and Pipecat's by hand against protobuf itself."""

from typing import Any

import msgspec
import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from loadtest import wires
from loadtest.peers.pipecat.wire import PipecatWire
from loadtest.wires import ParleyWire
from services.contracts import commands, events
from services.contracts.audio import UPLINK
from services.contracts.characters import Character
from services.contracts.frame import HEADER_BYTES, Header, Kind, pack, unpack
from services.contracts.settings import SessionSettings, SettingsPatch


def heard(wire: Any, *messages: events.AnyEvent | bytes) -> list[wires.Heard]:
    found: list[wires.Heard] = []
    for message in messages:
        found += wire.hear(message if isinstance(message, bytes) else events.encode(message).decode())
    return found


def ready(epoch: int) -> events.Ready:
    return events.Ready(
        protocol=1,
        session_id="s",
        token="t",
        epoch=epoch,
        generation=0,
        resumed=False,
        settings=SessionSettings(),
        characters=[Character(id="aria", name="Aria", persona="")],
        answer_source=events.AnswerSource(mode="llm"),
        history=[],
    )


def sound(generation: int, samples: int) -> bytes:
    return pack(Header(Kind.AUDIO, generation=generation), bytes(2 * samples))


def test_parleys_wire_says_what_a_page_says():
    wire = ParleyWire(SettingsPatch(silence_ms=200))
    [hello] = wire.opening()
    command = commands.decode(str(hello))
    assert isinstance(command, commands.Hello)
    assert command.settings.silence_ms == 200
    assert heard(wire, ready(7)) == [wires.Ready("s")]
    frames = [unpack(wire.frame(bytes(UPLINK.frame_bytes), 1_000_000 + number)) for number in range(3)]
    assert [(one.epoch, one.sequence, one.time_us) for one in frames] == [
        (7, 0, 1_000_000),
        (7, 1, 1_000_001),
        (7, 2, 1_000_002),
    ]
    assert len(wire.frame(bytes(UPLINK.frame_bytes), 0)) == HEADER_BYTES + UPLINK.frame_bytes


def test_parleys_wire_tells_an_answer_from_a_stale_one():
    wire = ParleyWire(SettingsPatch())
    started = [
        events.TextStreamStart(turn=1, generation=3, character="aria"),
        events.AudioStreamStart(generation=3, character="aria", sample_rate=24_000),
    ]
    assert heard(wire, *started) == [wires.AnswerSounds()]
    assert heard(wire, sound(3, 100)) == [wires.Sound(100)]
    assert heard(wire, events.AudioPause(generation=3)) == [wires.Pause()]
    [played] = wire.played(50)
    assert commands.decode(str(played)) == commands.Played(generation=3, samples=50)
    assert heard(wire, events.AudioFlush(generation=4)) == [wires.Flush()]
    assert heard(wire, sound(3, 100)) == [wires.Stale(100)]


def test_an_empty_transcript_takes_no_turn():
    wire = ParleyWire(SettingsPatch())
    assert heard(wire, events.SttFinished(utterance="1", text="")) == []
    assert heard(wire, events.SttFinished(utterance="1", text="hello")) == [wires.TurnTaken()]
    mood = events.ConversationState(state="user_speaking", turn=1)
    assert heard(wire, mood) == [wires.VoiceNoticed()]


@pytest.fixture(scope="module")
def pipecat_frame() -> Any:
    """Pipecat's `Frame`, as far as audio and interruptions go, built by protobuf."""
    file = descriptor_pb2.FileDescriptorProto(name="frames.proto", package="pipecat", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    shapes: dict[str, list[tuple[str, int, int, str]]] = {
        "AudioRawFrame": [
            ("id", 1, kinds.TYPE_UINT64, ""),
            ("name", 2, kinds.TYPE_STRING, ""),
            ("audio", 3, kinds.TYPE_BYTES, ""),
            ("sample_rate", 4, kinds.TYPE_UINT32, ""),
            ("num_channels", 5, kinds.TYPE_UINT32, ""),
        ],
        "InterruptionFrame": [("id", 1, kinds.TYPE_UINT64, ""), ("name", 2, kinds.TYPE_STRING, "")],
        "Frame": [
            ("audio", 2, kinds.TYPE_MESSAGE, ".pipecat.AudioRawFrame"),
            ("interruption", 5, kinds.TYPE_MESSAGE, ".pipecat.InterruptionFrame"),
        ],
    }
    for name, fields in shapes.items():
        message = file.message_type.add(name=name)
        for field, number, kind, type_name in fields:
            added = message.field.add(name=field, number=number, type=kind, label=kinds.LABEL_OPTIONAL)
            if type_name:
                added.type_name = type_name
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("pipecat.Frame"))


@given(pcm=st.binary(min_size=2, max_size=700))
def test_pipecats_wire_writes_what_protobuf_reads(pipecat_frame: Any, pcm: bytes):
    frame = pipecat_frame.FromString(PipecatWire().frame(pcm, 0))
    assert (frame.audio.audio, frame.audio.sample_rate, frame.audio.num_channels) == (pcm, 16_000, 1)


@given(pcm=st.binary(min_size=2, max_size=700), number=st.integers(min_value=0, max_value=2**64 - 1))
def test_pipecats_wire_reads_what_protobuf_writes(pipecat_frame: Any, pcm: bytes, number: int):
    frame = pipecat_frame()
    frame.audio.id, frame.audio.name, frame.audio.audio = number, "OutputAudioRawFrame#1", pcm
    frame.audio.sample_rate, frame.audio.num_channels = 24_000, 1
    loud = any(pcm)
    assert heard(PipecatWire(), frame.SerializeToString()) == ([wires.Sound(len(pcm) // 2)] if loud else [])
    interruption = pipecat_frame()
    interruption.interruption.id = number
    assert heard(PipecatWire(), interruption.SerializeToString()) == [wires.VoiceNoticed(), wires.Flush()]


def test_a_lost_connection_is_taken_up_behind_the_last_message():
    wire = ParleyWire(SettingsPatch(silence_ms=200))
    heard(wire, ready(7), events.TextStreamStart(sequence=1, turn=1, generation=3, character="aria"))
    frames = [pack(Header(Kind.AUDIO, generation=3, sequence=number), bytes(4)) for number in (2, 3)]
    assert heard(wire, *frames) == [wires.Sound(2), wires.Sound(2)]
    [hello] = wire.opening()
    command = commands.decode(str(hello))
    assert isinstance(command, commands.Hello)
    assert (command.token, command.last_sequence, command.settings) == ("t", 3, SettingsPatch())
    again = msgspec.structs.replace(ready(8), resumed=True, sequence=5)
    assert heard(wire, again, frames[1]) == [wires.Ready("s", resumed=True)], "what was heard is not heard again"
    missed = pack(Header(Kind.AUDIO, generation=3, sequence=4), bytes(4))
    assert heard(wire, missed) == [wires.Sound(2)]


def test_a_wire_that_listens_knows_silence_from_a_voice():
    wire = ParleyWire(SettingsPatch(), listens=True)
    heard(wire, events.TextStreamStart(turn=1, generation=3, character="aria"))
    loud = pack(Header(Kind.AUDIO, generation=3), np.full(10, 3, "<i2").tobytes())
    assert heard(wire, sound(3, 10), loud) == [wires.Sound(10, 0.0), wires.Sound(10, 90.0)]


def test_what_is_typed_is_a_message():
    [typed] = ParleyWire(SettingsPatch()).typed("good morning", 12.5)
    assert commands.decode(str(typed)) == commands.UserMessage(text="good morning", at_ms=12.5)
