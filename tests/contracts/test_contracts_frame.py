import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts import frame
from services.contracts.frame import HEADER_BYTES, Flags, FrameError, Header, Kind

U32 = st.integers(0, 2**32 - 1)
HEADERS = st.builds(
    Header,
    kind=st.sampled_from(Kind),
    epoch=U32,
    generation=U32,
    sequence=U32,
    time_us=st.integers(0, 2**64 - 1),
    flags=st.sampled_from([Flags.NONE, Flags.LAST, Flags.FLUSH, Flags.LAST | Flags.FLUSH]),
)


@given(HEADERS, st.binary(max_size=100))
def test_what_is_packed_is_unpacked(header: Header, payload: bytes):
    message = frame.pack(header, payload)
    assert len(message) == HEADER_BYTES + len(payload)
    assert frame.unpack(message) == header
    assert message[HEADER_BYTES:] == payload


@given(HEADERS)
def test_peek_and_unpack_agree(header: Header):
    message = frame.pack(header, b"")
    plain = (header.kind, header.flags, header.epoch, header.generation, header.sequence, header.time_us)
    assert frame.peek(message) == plain


@given(HEADERS, U32, st.binary(max_size=100))
def test_with_epoch_changes_the_epoch_and_nothing_else(header: Header, epoch: int, payload: bytes):
    message = frame.with_epoch(frame.pack(header, payload), epoch)
    expected = Header(header.kind, epoch, header.generation, header.sequence, header.time_us, header.flags)
    assert message == frame.pack(expected, payload)


@given(st.binary(max_size=64))
def test_any_bytes_are_a_header_or_a_frame_error(junk: bytes):
    try:
        header = frame.unpack(junk)
    except FrameError:
        assert len(junk) < HEADER_BYTES or junk[1] != frame.VERSION or junk[0] not in tuple(Kind)
    else:
        assert frame.pack(header, junk[HEADER_BYTES:])[4:] == junk[4:]


def test_the_layout_on_the_wire():
    message = frame.pack(Header(Kind.AUDIO, 1, 2, 3, 4, Flags.LAST), b"\x05\x06")
    assert message == struct.pack("<BBHIIIQ", 1, 1, 1, 1, 2, 3, 4) + b"\x05\x06"


def test_payloads_of_all_byte_kinds():
    for payload in (b"ab", bytearray(b"ab"), memoryview(b"ab")):
        assert frame.pack(Header(Kind.JSON), payload)[HEADER_BYTES:] == b"ab"


def test_flags_of_a_later_version_are_ignored():
    message = struct.pack("<BBHIIIQ", 1, 1, 0xFFFC | Flags.LAST, 0, 0, 0, 0)
    assert frame.unpack(message).flags is Flags.LAST


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"", "0 bytes"),
        (bytes(23), "23 bytes"),
        (bytes([1, 2]) + bytes(22), "version is 1; this one says 2"),
        (bytes([0, 1]) + bytes(22), "kind"),
        (bytes([4, 1]) + bytes(22), "kind"),
    ],
)
def test_errors_say_what_was_expected_and_what_came(message: bytes, says: str):
    for read in (frame.peek, frame.unpack):
        with pytest.raises(FrameError, match=says):
            read(message)


@pytest.mark.parametrize(
    "header",
    [Header(Kind.AUDIO, epoch=-1), Header(Kind.AUDIO, sequence=2**32), Header(Kind.AUDIO, time_us=2**64)],
)
def test_numbers_that_do_not_fit_are_not_cut(header: Header):
    with pytest.raises(struct.error):
        frame.pack(header, b"")
