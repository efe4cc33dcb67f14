"""The worker's shell on a real nats-server; only the speech models are scripted."""

import asyncio
import contextlib
import gc
import tracemalloc
from typing import cast

import msgspec
import nats
import nats.errors
import pytest
from workers import Voice, browser, running_worker

from services.contracts import commands, events, subjects, turns
from services.contracts.assignment import Beat, Control
from services.contracts.audio import UPLINK
from services.contracts.errors import Code
from services.contracts.frame import Kind
from services.dialogue import worker as worker_module


@pytest.fixture
async def worker(nats_url):
    async with running_worker(nats_url) as running:
        yield running


@pytest.fixture
async def user(nats_url, worker):
    async with browser(nats_url) as one:
        yield one


async def test_a_session_is_greeted_and_answered(user):
    assert (await user.attach()).status == "ok"
    ready = await user.until(events.Ready)
    assert (ready.session_id, ready.token, ready.resumed) == (user.sid, user.token, False)
    assert ready.answer_source.mode == "echo"
    turn = await user.hear("good morning")
    assert turn.user == "good morning"
    assert turn.assistant == "You said: good morning"


async def test_every_edge_is_told_where_the_time_of_a_turn_went(nats_url, user):
    edge = await nats.connect(nats_url)
    told = await edge.subscribe(subjects.TURNS)
    await edge.flush()
    await user.attach()
    await user.send(commands.UserMessage(text="good morning", at_ms=1_000.0))
    header, _ = await user.next()
    while header.kind is not Kind.AUDIO:
        header, _ = await user.next()
    started = commands.PlaybackStarted(generation=header.generation, received_ms=1_400.0, started_ms=1_450.0)
    await user.send(started)
    event = await user.until(events.TurnMetrics)
    turn = turns.decode((await told.next_msg(5)).data)
    assert (turn.total_ms, turn.parts, turn.spoken) == (event.total_ms, event.parts, False)
    await edge.close()


async def test_audio_ahead_of_the_listener_is_bounded(user):
    await user.attach()
    await user.send(commands.UserMessage(text="one. " * 400))
    sent = 0
    with contextlib.suppress(TimeoutError):
        while True:
            header, event = await asyncio.wait_for(user.next(), 1)
            sent += len(event) // 2 if header.kind is Kind.AUDIO else 0
    assert sent == 36_000


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"{", Code.MALFORMED_JSON),
        (b"\xff\xfe", Code.MALFORMED_JSON),
        (b'{"type":"zap"}', Code.UNKNOWN_TYPE),
        (b"[1]", Code.INVALID_COMMAND),
        (b'{"type":"played","generation":-1,"samples":0}', Code.INVALID_COMMAND),
        (b'{"type":"settings","settings":{"silence_ms":5}}', Code.INVALID_SETTING),
        (b'{"type":"user_message","text":""}', Code.TEXT_EMPTY),
        (b'{"type":"user_message","text":"' + b"a" * 5000 + b'"}', Code.TEXT_TOO_LONG),
        (b'{"type":"hello","protocol":1}', Code.INVALID_COMMAND),
    ],
)
async def test_bad_commands_get_their_error_and_the_session_goes_on(user, payload, code):
    await user.attach()
    await user.send(payload)
    error = await user.until(events.Error)
    assert error.code == code
    assert (await user.hear("still there")).user == "still there"


async def test_bad_frames_get_one_error_and_the_session_goes_on(user):
    await user.attach()
    await user.until(events.Ready)
    for _ in range(50):
        await user.send(b"\0", Kind.AUDIO)
    await user.client.publish(subjects.uplink(user.sid), b"junk")
    errors = []
    await user.send(commands.Ping(at_ms=5))
    while True:
        _, event = await user.next()
        if isinstance(event, events.Error):
            errors.append(event.code)
        if isinstance(event, events.Pong):
            break
    assert errors == [Code.MALFORMED_FRAME]
    assert (await user.hear("still there")).user == "still there"


async def test_what_a_worker_that_fell_behind_did_not_take_is_not_lost_in_silence(nats_url, monkeypatch):
    monkeypatch.setattr(worker_module, "_UPLINK_PENDING", 3)
    async with running_worker(nats_url), browser(nats_url) as one:
        await one.attach()
        await one.until(events.Ready)
        for _ in range(200):
            await one.send(commands.Ping(at_ms=1))
        error = await one.until(events.Error)
        assert (error.code, error.recoverable) == (Code.INTERNAL_ERROR, True)
        assert "lost" in error.message


async def test_control_that_makes_no_sense_harms_nobody(user):
    await user.attach()
    await user.send(b"{}", Kind.CONTROL)
    assert (await user.hear("still there")).user == "still there"


async def test_messages_of_an_older_connection_are_not_heard(user):
    await user.attach()
    await user.send(commands.UserMessage(text="from the past"), epoch=0)
    assert (await user.hear("now")).number == 1


async def reclaimed(one, **attach):
    """The reply, once the worker has noticed that a client left."""
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(nats.errors.NoRespondersError):
                return await one.attach(subject=subjects.RECLAIM, **attach)


async def reclaimable(worker):
    async with asyncio.timeout(5):
        while subjects.RECLAIM not in worker._groups:  # noqa: ASYNC110 - the message is on its way
            await asyncio.sleep(0.01)
    await worker._client.flush()


class TestAdmission:
    async def test_a_full_worker_leaves_the_queue_group_and_comes_back(self, nats_url):
        async with running_worker(nats_url, slots=1, grace_s=0.1), contextlib.AsyncExitStack() as stack:
            first = await stack.enter_async_context(browser(nats_url))
            second = await stack.enter_async_context(browser(nats_url))
            assert (await first.attach()).status == "ok"
            with pytest.raises(nats.errors.NoRespondersError):
                await second.attach()
            await first.send(msgspec.json.encode(Control(verb="detached")), Kind.CONTROL)
            async with asyncio.timeout(10):
                while True:
                    with contextlib.suppress(nats.errors.NoRespondersError):
                        if (await second.attach()).status == "ok":
                            break

    async def test_no_more_sessions_than_slots_however_many_ask_at_once(self, nats_url):
        async with running_worker(nats_url, slots=3), contextlib.AsyncExitStack() as stack:
            users = [await stack.enter_async_context(browser(nats_url)) for _ in range(12)]

            async def ask(one):
                try:
                    return (await one.attach()).status
                except nats.errors.NoRespondersError:
                    return "nobody"

            got = await asyncio.gather(*(ask(one) for one in users))
            assert got.count("ok") == 3
            assert set(got) <= {"ok", "busy", "nobody"}

    async def test_a_session_without_its_client_makes_room_and_comes_back_with_its_history(self, nats_url):
        async with running_worker(nats_url, slots=1), browser(nats_url) as one, browser(nats_url) as two:
            assert (await one.attach()).status == "ok"
            await one.hear("remember me")
            with pytest.raises(nats.errors.NoRespondersError):
                await two.attach(subject=subjects.RECLAIM)
            await one.leave()
            with pytest.raises(nats.errors.NoRespondersError):
                await two.attach()
            assert (await reclaimed(two)).status == "ok"
            assert (await two.hear("me too")).number == 1
            with pytest.raises(nats.errors.NoRespondersError):
                await one.attach(resume=True, last_sequence=one.seen, subject=subjects.attach(one.sid))
            with pytest.raises(nats.errors.NoRespondersError):
                await one.attach(resume=True, last_sequence=one.seen, subject=subjects.RECLAIM)
            await two.leave()
            assert (await reclaimed(one, resume=True, last_sequence=one.seen)).status == "ok"
            ready = await one.until(events.Ready)
            while not ready.resumed:
                ready = await one.until(events.Ready)
            assert [turn.user for turn in ready.history] == ["remember me"]
            assert (await one.hear("again")).number == 2

    async def test_who_was_left_the_longest_and_owes_nothing_goes_first(self, nats_url):
        async with running_worker(nats_url, slots=3) as worker, contextlib.AsyncExitStack() as stack:
            owed, early, late, new = [await stack.enter_async_context(browser(nats_url)) for _ in range(4)]
            cast(Voice, worker._tools.synthesiser).gate.clear()
            for user in (owed, early, late):
                assert (await user.attach()).status == "ok"
            await owed.send(commands.UserMessage(text="are you there"))
            await owed.until(events.TextStreamStart)
            for user in (owed, early, late):
                await user.leave()
                async with asyncio.timeout(5):
                    while worker._held[user.sid].session.lost_at is None:  # noqa: ASYNC110 - the message is on its way
                        await asyncio.sleep(0.01)
            for kept in ({owed.sid, late.sid}, {owed.sid}, set()):
                assert (await reclaimed(new)).status == "ok"
                assert set(worker._held) & {owed.sid, early.sid, late.sid} == kept
                assert len(worker._held) <= 3
                new = await stack.enter_async_context(browser(nats_url))

    async def test_a_session_with_its_client_is_never_released(self, nats_url):
        async with running_worker(nats_url, slots=2) as worker, contextlib.AsyncExitStack() as stack:
            there, gone, *others = [await stack.enter_async_context(browser(nats_url)) for _ in range(8)]
            for user in (there, gone):
                assert (await user.attach()).status == "ok"
            await gone.leave()
            assert (await reclaimed(others[0])).status == "ok"

            async def ask(one):
                try:
                    return (await one.attach(subject=subjects.RECLAIM)).status
                except nats.errors.NoRespondersError:
                    return "nobody"

            assert set(await asyncio.gather(*(ask(one) for one in others[1:]))) <= {"busy", "nobody"}
            assert set(worker._held) == {there.sid, others[0].sid}
            assert (await there.hear("still there")).number == 1

    async def test_one_slot_is_given_once_however_many_ask_for_it(self, nats_url):
        async with running_worker(nats_url, slots=2) as worker, contextlib.AsyncExitStack() as stack:
            gone, there, *others = [await stack.enter_async_context(browser(nats_url)) for _ in range(8)]
            for user in (gone, there):
                await user.attach()
            await gone.leave()
            await reclaimable(worker)

            async def ask(one, subject):
                try:
                    return (await one.attach(subject=subject)).status
                except nats.errors.NoRespondersError:
                    return "nobody"

            pairs = zip(others, [subjects.RECLAIM, subjects.ASSIGN] * 3, strict=True)
            got = await asyncio.gather(*(ask(one, subject) for one, subject in pairs))
            assert got.count("ok") == 1
            assert (len(worker._held), worker._claimed) == (2, 2)

    async def test_a_free_slot_elsewhere_comes_before_that_of_a_lost_client(self, nats_url):
        async with running_worker(nats_url, slots=1) as full, contextlib.AsyncExitStack() as stack:
            gone, *others = [await stack.enter_async_context(browser(nats_url)) for _ in range(6)]
            await gone.attach()
            await gone.leave()
            await reclaimable(full)
            async with running_worker(nats_url, slots=5) as free:
                for one in others:
                    assert (await one.attach()).wid == free.wid
                assert set(full._held) == {gone.sid}

    async def test_beats_tell_the_slots_and_the_last_one_says_good_bye(self, nats_url):
        beats: asyncio.Queue = asyncio.Queue()

        async def take(msg):
            await beats.put(msgspec.json.decode(msg.data, type=Beat))

        async with browser(nats_url) as watcher:
            await watcher.client.subscribe(subjects.BEATS, cb=take)
            await watcher.client.flush()
            async with running_worker(nats_url, slots=7) as worker:
                beat = await asyncio.wait_for(beats.get(), 5)
                assert (beat.wid, beat.slots, beat.active, beat.leaving) == (worker.wid, 7, 0, False)
            while not beat.leaving:
                beat = await asyncio.wait_for(beats.get(), 5)


class TestOneHolder:
    """However a session came to be held twice, it is held once in the end."""

    async def test_a_worker_gives_up_a_session_that_is_anothers(self, nats_url):
        async with running_worker(nats_url) as worker, browser(nats_url) as one:
            await one.attach()
            await one.hear("mine")
            await worker._tools.checkpoints.flush(2)
            before = await worker._tools.checkpoints.load(one.sid)
            await one.send(msgspec.json.encode(Control(verb="present", wid="f" * 32)), Kind.CONTROL)
            await one.send(commands.UserMessage(text="for the other one"))
            async with asyncio.timeout(5):
                while worker._held:  # noqa: ASYNC110 - the message is on its way
                    await asyncio.sleep(0.01)
            await worker._client.flush()
            with pytest.raises(nats.errors.NoRespondersError):
                await one.attach(resume=True, last_sequence=one.seen, subject=subjects.attach(one.sid))
            assert worker._held == {}
            assert await worker._tools.checkpoints.load(one.sid) == before

    async def test_its_own_presence_is_no_reason_to(self, nats_url):
        async with running_worker(nats_url) as worker, browser(nats_url) as one:
            await one.attach()
            await one.send(msgspec.json.encode(Control(verb="present", wid=worker.wid)), Kind.CONTROL)
            assert (await one.hear("mine")).user == "mine"

    async def test_a_session_that_nobody_came_for_is_let_go(self, nats_url):
        """The edge did not wait for the reply."""
        async with running_worker(nats_url, grace_s=0.5) as worker, browser(nats_url) as one:
            await one.attach()
            async with asyncio.timeout(10):
                while worker._held:  # noqa: ASYNC110 - the worker tends its sessions once a second
                    await asyncio.sleep(0.05)

    async def test_a_session_that_ended_holds_nothing_large(self, nats_url):
        """It is garbage in a cycle, and the collector may come to it late."""
        async with running_worker(nats_url, grace_s=0.5) as worker, contextlib.AsyncExitStack() as stack:
            gc.disable()
            stack.callback(gc.enable)
            tracemalloc.start()
            stack.callback(tracemalloc.stop)
            users = [await stack.enter_async_context(browser(nats_url)) for _ in range(4)]
            for one in users:
                await one.attach()
                for number in range(5):  # 24 kB of audio each
                    await one.hear(f"{number}")
                await one.send(commands.StartListening())
                for number in range(100):
                    await one.send(bytes(UPLINK.frame_bytes), Kind.AUDIO, sequence=number)
            held, _ = tracemalloc.get_traced_memory()
            for one in users:
                await one.leave()
            async with asyncio.timeout(10):
                while worker._held:  # noqa: ASYNC110 - the worker tends its sessions once a second
                    await asyncio.sleep(0.05)
            left, _ = tracemalloc.get_traced_memory()
            assert held - left > 4 * (5 * 24_000 + 100 * 1280)

    async def test_a_resume_that_reaches_the_holder_as_an_assignment_is_an_attachment(self, nats_url):
        async with running_worker(nats_url), browser(nats_url) as one:
            first = await one.attach()
            await one.hear("mine")
            again = await one.attach(resume=True, last_sequence=one.seen)
            assert (again.status, again.wid) == ("ok", first.wid)
            assert (await one.hear("still mine")).number == 2


class TestReconnection:
    async def test_what_was_missed_is_sent_again(self, nats_url, user):
        await user.attach()
        await user.hear("one")
        await user.send(msgspec.json.encode(Control(verb="detached")), Kind.CONTROL)
        seen = user.seen
        await user.send(commands.Ping(at_ms=1), epoch=user.epoch)  # the worker keeps what it says meanwhile
        async with browser(nats_url, user.sid) as again:
            again.epoch = user.epoch
            attached = await again.attach(resume=True, last_sequence=seen, subject=subjects.attach(user.sid))
            assert attached.epoch > user.epoch
            ready = await again.until(events.Ready)
            assert (ready.resumed, ready.complete, ready.sequence) == (True, True, seen)
            due = seen
            event = None
            while not isinstance(event, events.Pong):
                header, event = await again.next()
                due += 1
                assert (header.sequence, header.epoch) == (due, attached.epoch)
            assert (await again.hear("two")).number == 2

    async def test_a_page_loaded_anew_is_greeted_with_the_turn_that_it_cut(self, nats_url, user):
        await user.attach()
        await user.send(commands.UserMessage(text="one two three"))
        generation = (await user.until(events.AudioStreamStart)).generation
        await user.send(commands.PlaybackStarted(generation=generation, received_ms=1, started_ms=2))
        await user.send(commands.Played(generation=generation, samples=1200))
        measured = await user.until(events.TurnMetrics)
        await user.leave()
        async with browser(nats_url, user.sid) as again:
            again.epoch = user.epoch
            await again.attach(resume=True, last_sequence=0, subject=subjects.attach(user.sid))
            ready = await again.until(events.Ready)
            [turn] = ready.history
            assert (turn.user, turn.cut, turn.number) == ("one two three", True, 1)
            assert turn.first_audio_ms == measured.total_ms
            assert turn.parts == measured.parts
            assert ready.generation > generation
            _, following = await again.next()
            assert (type(following), following.state) == (events.ConversationState, "idle")
            assert (await again.hear("two")).number == 2

    async def test_another_worker_takes_over_with_the_history(self, nats_url):
        async with browser(nats_url) as one:
            async with running_worker(nats_url):
                await one.attach()
                await one.hear("remember me")
                await one.hear("and me")
            async with running_worker(nats_url):
                attached = await one.attach(resume=True, last_sequence=one.seen)
                assert attached.status == "ok"
                ready = await one.until(events.Ready)
                while not ready.resumed:
                    ready = await one.until(events.Ready)
                assert [turn.user for turn in ready.history] == ["remember me", "and me"]
                assert not ready.complete
                assert (await one.hear("three")).number == 3

    async def test_a_handover_in_order_loses_nothing_for_a_client_that_has_seen_all(self, nats_url):
        async with browser(nats_url) as one:
            async with running_worker(nats_url):
                await one.attach()
                await one.hear("remember me")
                await one.send(commands.Ping(at_ms=1))
                await one.until(events.Pong)
            async with running_worker(nats_url):
                await one.attach(resume=True, last_sequence=one.seen)
                ready = await one.until(events.Ready)
                while not ready.resumed:
                    ready = await one.until(events.Ready)
                assert ready.complete
                assert (await one.hear("two")).number == 2

    async def test_an_answer_that_a_worker_still_owed_is_given_by_the_next(self, nats_url):
        async with browser(nats_url) as one:
            async with running_worker(nats_url) as worker:
                cast(Voice, worker._tools.synthesiser).gate.clear()
                await one.attach()
                await one.send(commands.UserMessage(text="are you there"))
                await one.until(events.TextStreamStart)
            async with running_worker(nats_url):
                await one.attach(resume=True, last_sequence=one.seen)
                turn = None
                samples = 0
                while turn is None:
                    header, event = await one.next()
                    if header.kind is Kind.AUDIO:
                        samples += len(event) // 2
                        await one.send(commands.Played(generation=header.generation, samples=samples))
                    elif isinstance(event, events.TurnCommitted):
                        turn = event.turn
                assert (turn.user, turn.assistant) == ("are you there", "You said: are you there")

    async def test_a_session_nobody_remembers(self, user):
        assert (await user.attach(resume=True, last_sequence=5)).status == "unknown"

    async def test_a_session_is_not_given_to_another_token(self, nats_url, worker):
        async with browser(nats_url) as one:
            await one.attach()
            await one.hear("mine")
        async with running_worker(nats_url), browser(nats_url, one.sid) as thief:
            thief.token = "stolen"
            statuses = {(await thief.attach(resume=True)).status for _ in range(6)}
            assert "ok" not in statuses

    async def test_a_character_that_is_gone_is_replaced(self, nats_url):
        async with browser(nats_url) as one:
            async with running_worker(nats_url) as worker:
                await one.attach()
                await one.hear("before")
                kept = await worker._tools.checkpoints.load(one.sid)
                assert kept is not None
                settings = msgspec.structs.replace(kept.settings, character="gone")
            async with running_worker(nats_url) as worker:
                await worker._tools.checkpoints._bucket.put(
                    one.sid, msgspec.json.encode(msgspec.structs.replace(kept, settings=settings))
                )
                assert (await one.attach(resume=True, last_sequence=one.seen)).status == "ok"
                assert (await one.hear("after")).character == "aria"

    async def test_sessions_may_end_while_a_worker_drains(self, nats_url):
        async with browser(nats_url) as one, browser(nats_url) as two:
            async with running_worker(nats_url) as worker:
                cast(Voice, worker._tools.synthesiser).gate.clear()
                for user in (one, two):
                    await user.attach()
                    await user.send(commands.UserMessage(text="hello"))
                    await user.until(events.TextStreamStart)
                stopping = asyncio.create_task(worker.stop(1.0))
                await one.send(msgspec.json.encode(Control(verb="present", wid="f" * 32)), Kind.CONTROL)
                await stopping
            async with running_worker(nats_url):
                attached = await two.attach(resume=True, last_sequence=two.seen)
                assert attached.status == "ok"

    async def test_a_client_that_says_nothing_for_long_is_let_go(self, nats_url):
        async with running_worker(nats_url, idle_s=0.5), browser(nats_url) as one:
            await one.attach()
            await one.until(events.Ready)
            while True:
                header, payload = await one.next()
                if header.kind is Kind.CONTROL:
                    break
            assert msgspec.json.decode(payload, type=Control).code == Code.SESSION_IDLE
