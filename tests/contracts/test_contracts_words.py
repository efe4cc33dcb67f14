"""Events, errors, settings, subjects, moments: what has to hold between them."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts import audio, events, moments, settings, subjects
from services.contracts.assignment import BEAT_SECONDS, LOST_AFTER_SECONDS, Attach, Attached, Beat, Control, next_epoch
from services.contracts.errors import MEANINGS, Code
from services.contracts.moments import PARTS, Moment
from services.contracts.settings import SessionSettings, SettingsPatch


def test_every_code_has_a_meaning_a_person_can_read():
    assert set(MEANINGS) == set(Code)
    for code, meaning in MEANINGS.items():
        assert re.fullmatch(r"[A-Z].{10,}\.", meaning.message), code


def test_close_codes_are_valid_and_tell_errors_apart():
    closes = [meaning.close for meaning in MEANINGS.values() if meaning.close]
    assert len(closes) == len(set(closes))
    # 1009 and 1012 are the standard's own; 4000 and up are for applications.
    assert all(close in (1009, 1012) or 4000 <= close < 5000 for close in closes)


def test_an_error_event_carries_its_codes_meaning_or_a_better_sentence():
    plain = events.error(Code.AT_CAPACITY, retry_after_ms=5)
    assert (plain.message, plain.recoverable, plain.retry_after_ms) == (MEANINGS[Code.AT_CAPACITY].message, True, 5)
    assert events.error(Code.TOKEN_INVALID, "More exactly.").message == "More exactly."
    assert events.decode(events.encode(plain)) == plain


def test_event_tags_are_unique_and_each_counts():
    tags = [kind.__struct_config__.tag for kind in events.AnyEvent.__args__]
    assert len(tags) == len(set(tags))
    assert all("sequence" in kind.__struct_fields__ for kind in events.AnyEvent.__args__)


PATCHES = st.builds(
    SettingsPatch,
    speed=st.floats(0.5, 2) | st.just(msgspec.UNSET),
    silence_ms=st.integers(200, 3000) | st.just(msgspec.UNSET),
    seed=st.none() | st.integers(0, 2**31 - 1) | st.just(msgspec.UNSET),
    response_mode=st.sampled_from(["llm", "template", "echo"]) | st.just(msgspec.UNSET),
)


@given(PATCHES, PATCHES)
def test_patches_change_what_they_name_and_the_later_wins(first: SettingsPatch, second: SettingsPatch):
    start = SessionSettings()
    once = settings.apply(start, first)
    assert settings.apply(once, first) == once
    both = settings.apply(once, second)
    for name in SettingsPatch.__struct_fields__:
        given_by = [getattr(patch, name) for patch in (second, first) if getattr(patch, name) is not msgspec.UNSET]
        assert getattr(both, name) == (given_by[0] if given_by else getattr(start, name))


@given(PATCHES)
def test_a_patch_survives_the_wire(patch: SettingsPatch):
    assert msgspec.json.decode(msgspec.json.encode(patch), type=SettingsPatch) == patch


def test_a_patch_knows_every_setting_and_no_other():
    assert SettingsPatch.__struct_fields__ == SessionSettings.__struct_fields__
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"volume":1}', type=SettingsPatch)


@pytest.mark.parametrize(
    ("name", "low", "high", "step"),
    [
        ("temperature", 0, 2, 0.01),
        ("answer_tokens", 16, 2000, 1),
        ("context_turns", 0, 50, 1),
        ("pause_sensitivity", 0, 3, 1),
        ("silence_ms", 200, 3000, 1),
        ("speed", 0.5, 2, 0.01),
        ("seed", 0, 2**31 - 1, 1),
    ],
)
def test_ranges_include_their_ends(name: str, low: float, high: float, step: float):
    for value in (low, high):
        assert getattr(msgspec.convert({name: value}, SettingsPatch), name) == value
    for value in (low - step, high + step):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({name: value}, SettingsPatch)


def test_ids_are_128_random_bits():
    ids = {subjects.new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(subjects.is_id(sid) for sid in ids)


@pytest.mark.parametrize(
    "text", ["", "0" * 31, "0" * 33, "G" * 32, "A" * 32, "0" * 31 + "\n", "0" * 32 + "\n", "*", ">"]
)
def test_what_is_no_id_never_gets_into_a_subject(text: str):
    assert not subjects.is_id(text)


def test_subjects_are_apart_and_beats_are_heard_together():
    sid = subjects.new_id()
    of_one = {subjects.uplink(sid), subjects.downlink(sid), subjects.attach(sid), subjects.beat(sid)}
    assert len(of_one | {subjects.ASSIGN, subjects.RECLAIM}) == 6
    assert re.fullmatch(subjects.BEATS.replace(".", r"\.").replace("*", r"[^.]+"), subjects.beat(sid))


@pytest.mark.parametrize(
    "message",
    [
        Attach(
            sid="s", token="t", resume=True, last_sequence=4, epoch=2, settings=SettingsPatch(speed=1.5), client="c"
        ),
        Attached(status="ok", wid="w", epoch=3),
        Attached(status="busy"),
        Beat(wid="w", slots=4, active=2, draining=True),
        Control(verb="close", code=Code.SESSION_IDLE),
    ],
)
def test_what_edge_and_workers_say_survives_the_wire(message: msgspec.Struct):
    assert msgspec.json.decode(msgspec.json.encode(message), type=type(message)) == message


def test_a_worker_may_miss_beats_before_it_counts_as_lost():
    assert LOST_AFTER_SECONDS >= 3 * BEAT_SECONDS


def test_parts_of_a_turn_join_up_in_the_order_of_its_moments():
    order = list(Moment)
    assert [start for _, _, start, _ in PARTS] == order[:-1]
    assert [end for _, _, _, end in PARTS] == order[1:]
    names = [name for name, *_ in PARTS]
    assert len(names) == len(set(names))
    assert {owner for _, owner, *_ in PARTS} <= set(moments.Owner.__args__)


def test_audio_formats():
    assert (audio.UPLINK.frame_seconds, audio.UPLINK.frame_bytes) == (0.02, 640)
    assert (audio.DOWNLINK.frame_seconds, audio.DOWNLINK.frame_bytes) == (0.1, 4800)


def test_an_attachment_outranks_all_that_nobody_heard_of():
    """An edge that knows no epoch asked a holder and a free worker in vain; both take the session when they wake."""
    asked = [Attach(sid="s", token="t", resume=True, unheard=unheard) for unheard in range(3)]
    holder = next_epoch(next_epoch(7, asked[0]), asked[0])  # by two rounds
    other = next_epoch(7, asked[1])
    assert 7 < holder < other < next_epoch(7, asked[2])
    assert next_epoch(3, Attach(sid="s", token="t", resume=True, epoch=9)) == 10
