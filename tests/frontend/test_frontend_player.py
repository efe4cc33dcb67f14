"""The player's core, stepped block by block. What the worklet around it plays is recorded in test_frontend_page.py."""

from typing import Any

import pytest
from playwright.async_api import Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

# A stage for the player's core: `tone` gives samples of one endless 440 Hz tone, `run` renders blocks of 128.
STAGE = """
  const { createPlayer } = await import("/js/player-core.js");
  const posts = [];
  const sound = [];
  const player = createPlayer(RATE, (message) => posts.push({ at: sound.length, ...message }));
  const angle = (n, rate) => (2 * Math.PI * 440 * n) / rate;
  const tone = (from, count) => Int16Array.from({ length: count }, (_, n) => 16000 * Math.sin(angle(from + n, 24000)));
  const audio = (generation, from, count) =>
    player.receive({ type: "audio", generation, sampleRate: 24000, samples: tone(from, count) });
  const end = (generation, tailSeconds = 0) => player.receive({ type: "end", generation, tailSeconds });
  const run = (seconds) => {
    const block = new Float32Array(128);
    for (const stop = sound.length + seconds * RATE; sound.length < stop; ) {
      player.render(block, sound.length);
      sound.push(...block);
    }
  };
  const of = (type) => posts.filter((post) => post.type === type);
  const steepest = () => sound.reduce((most, value, n) => Math.max(most, Math.abs(value - (sound[n - 1] ?? 0))), 0);
"""
# The steepest step of the tone itself, at 48 kHz, with room for the filter's ringing at its ends.
SMOOTH = 0.05


async def play(page: Page, script: str, rate: int = 48_000) -> Any:
    return await page.evaluate(f"async () => {{ const RATE = {rate}; {STAGE} {script} }}")


@pytest.mark.parametrize("rate", [44_100, 48_000])
async def test_frames_that_come_in_time_are_one_gapless_sound(blank: Page, rate: int) -> None:
    result = await play(
        blank,
        """
        for (let n = 0; n < 20; n += 1) { audio(1, n * 2400, 2400); run(n % 3 === 0 ? 0.05 : 0.1); }
        end(1); run(1);
        let error = 0;
        for (let n = 500; n < 1.9 * RATE; n += 1) {
          error = Math.max(error, Math.abs(sound[n] - (16000 / 32768) * Math.sin(angle(n, RATE))));
        }
        return { error, ended: of("ended"), started: of("started"), progress: of("progress").length };
        """,
        rate,
    )
    assert result["error"] < 0.001
    [ended] = result["ended"]
    assert (ended["played"], ended["underruns"], ended["maxGapMs"]) == (48_000, 0, 0)
    assert [post["time"] for post in result["started"]] == [0]
    assert 18 <= result["progress"] <= 22


async def test_it_starts_with_40_ms_at_hand_and_not_before(blank: Page) -> None:
    result = await play(
        blank,
        """
        audio(1, 0, 480); run(0.1); const early = of("started").length;
        audio(1, 480, 960); run(0.1); return [early, of("started").length, of("ended").length];
        """,
    )
    assert result == [0, 1, 0]


async def test_an_answer_shorter_than_the_buffer_is_played_at_its_end(blank: Page) -> None:
    result = await play(blank, "audio(1, 0, 240); end(1); run(0.1); return of('ended');")
    assert [post["played"] for post in result] == [240]


async def test_after_an_underrun_nothing_is_lost_and_the_buffer_grows(blank: Page) -> None:
    result = await play(
        blank,
        """
        audio(1, 0, 4800); run(0.5); const before = player.bufferSeconds();
        audio(1, 4800, 4800); run(0.1); audio(1, 9600, 4800); end(1); run(0.6);
        return { before, after: player.bufferSeconds(), ended: of("ended")[0], steepest: steepest() };
        """,
    )
    assert result["ended"]["played"] == 14_400
    assert result["ended"]["underruns"] == 1
    assert 290 < result["ended"]["maxGapMs"] < 310
    assert result["after"] == 2 * result["before"]
    assert result["steepest"] < SMOOTH


async def test_the_buffer_grows_within_a_bound(blank: Page) -> None:
    result = await play(
        blank,
        "for (let n = 0; n < 12; n += 1) { audio(1, n * 9600, 9600); run(1); } return player.bufferSeconds();",
    )
    assert result == pytest.approx(0.32)


async def test_an_end_that_is_announced_late_is_no_underrun(blank: Page) -> None:
    result = await play(blank, "audio(1, 0, 4800); run(0.5); end(1); run(0.1); return of('ended')[0];")
    assert (result["played"], result["underruns"], result["maxGapMs"]) == (4_800, 0, 0)


async def test_a_flush_is_silent_within_8_ms_without_a_click(blank: Page) -> None:
    result = await play(
        blank,
        """
        audio(1, 0, 24000); run(0.301); const at = sound.length;
        player.receive({ type: "flush", generation: 2 }); run(0.2);
        const loud = sound.slice(at + 384).some((value) => value !== 0);
        return { flushed: of("flushed")[0], loud, steepest: steepest(), at };
        """,
    )
    assert not result["loud"]
    assert result["steepest"] < SMOOTH
    assert abs(result["flushed"]["played"] - result["at"] / 2) <= 1


async def test_what_still_comes_of_a_flushed_answer_is_dropped(blank: Page) -> None:
    result = await play(
        blank,
        """
        audio(1, 0, 24000); run(0.2); player.receive({ type: "flush", generation: 2 }); run(0.1);
        audio(1, 24000, 24000); run(0.1); const quiet = sound.slice(-4000).every((value) => value === 0);
        audio(2, 0, 4800); end(2); run(0.3);
        return [quiet, of("ended").map((post) => [post.generation, post.played])];
        """,
    )
    assert result == [True, [[2, 4_800]]]


async def test_answers_queue_up_and_each_is_heard_to_its_end(blank: Page) -> None:
    result = await play(
        blank,
        """
        audio(1, 0, 4800); end(1, 0.15); audio(2, 0, 4800); end(2, 0.15); run(1);
        return posts
          .filter(({ type }) => type !== "progress")
          .map(({ type, generation, at }) => [type, generation, Math.round(at / 480) / 100]);
        """,
    )
    assert result == [
        ["started", 1, 0], ["ended", 1, 0.2], ["started", 2, 0.2], ["heard", 1, 0.35],
        ["ended", 2, 0.4], ["heard", 2, 0.55],
    ]  # fmt: skip


async def test_an_answer_whose_end_was_lost_gives_way_to_the_next(blank: Page) -> None:
    result = await play(
        blank,
        """
        audio(1, 0, 4800); run(0.5); audio(2, 0, 4800); end(2); run(0.5);
        return of("ended").map((post) => post.generation);
        """,
    )
    assert result == [1, 2]


async def test_a_server_that_counts_from_its_checkpoint_is_heard_again(blank: Page) -> None:
    result = await play(
        blank,
        """
        player.receive({ type: "flush", generation: 9 }); audio(4, 0, 4800); run(0.1);
        player.receive({ type: "allow", generation: 4 }); audio(3, 0, 4800); audio(4, 0, 4800); end(4); run(0.4);
        return of("ended").map((post) => post.generation);
        """,
    )
    assert result == [4]


async def test_a_held_answer_is_silent_says_where_and_goes_on_without_a_gap(blank: Page) -> None:
    result = await play(
        blank,
        """
        audio(1, 0, 24000); end(1); run(0.3);
        player.receive({ type: "hold", generation: 1 });
        const from = sound.length; run(0.5);
        const silent = Math.max(...sound.slice(from + 0.01 * RATE).map(Math.abs));
        player.receive({ type: "release", generation: 1 });
        run(1);
        return { silent, held: of("held"), ended: of("ended"), steepest: steepest() };
        """,
    )
    assert result["silent"] == 0
    [held] = result["held"]
    assert held["played"] == pytest.approx(0.3 * 24_000, abs=200)
    [ended] = result["ended"]
    assert (ended["played"], ended["underruns"], ended["maxGapMs"]) == (24_000, 0, 0)
    assert ended["at"] / 48_000 == pytest.approx(1.5, abs=0.02)
    assert result["steepest"] < SMOOTH


async def test_a_held_answer_may_be_flushed_and_the_next_one_plays(blank: Page) -> None:
    result = await play(
        blank,
        """
        audio(1, 0, 24000); end(1); run(0.3);
        player.receive({ type: "hold", generation: 1 });
        run(0.2);
        player.receive({ type: "flush", generation: 2 });
        audio(2, 0, 2400); end(2); run(0.5);
        player.receive({ type: "hold", generation: 1 });
        audio(3, 0, 2400); end(3); run(0.5);
        return { flushed: of("flushed"), ended: of("ended") };
        """,
    )
    assert [post["generation"] for post in result["flushed"]] == [1]
    assert [(post["generation"], post["played"]) for post in result["ended"]] == [(2, 2_400), (3, 2_400)]


async def test_audio_that_comes_while_held_waits(blank: Page) -> None:
    result = await play(
        blank,
        """
        player.receive({ type: "hold", generation: 1 });
        audio(1, 0, 12000); end(1); run(0.5);
        const before = of("started").length;
        player.receive({ type: "release", generation: 1 }); run(1);
        return { before, ended: of("ended") };
        """,
    )
    assert result["before"] == 0
    assert [post["played"] for post in result["ended"]] == [12_000]


async def test_a_hold_ends_with_the_flush_of_its_answer(blank: Page) -> None:
    result = await play(
        blank,
        """
        player.receive({ type: "hold", generation: 7 });
        player.receive({ type: "flush", generation: Infinity });
        player.receive({ type: "allow", generation: 7 });
        audio(7, 0, 2400); end(7); run(0.5);
        return of("ended").map((post) => [post.generation, post.played]);
        """,
    )
    assert result == [[7, 2_400]]


async def test_a_flush_of_older_answers_keeps_the_hold_of_a_newer_one(blank: Page) -> None:
    result = await play(
        blank,
        """
        player.receive({ type: "hold", generation: 7 });
        player.receive({ type: "flush", generation: 7 });
        audio(7, 0, 2400); end(7); run(0.5);
        return of("started").length;
        """,
    )
    assert result == 0


async def test_the_silence_of_a_hold_is_no_underrun_when_the_player_had_run_dry(blank: Page) -> None:
    result = await play(
        blank,
        """
        audio(1, 0, 4800); run(0.4); const before = player.bufferSeconds();
        player.receive({ type: "hold", generation: 1 }); run(1);
        audio(1, 4800, 4800); end(1);
        player.receive({ type: "release", generation: 1 }); run(0.5);
        return { ended: of("ended")[0], before, after: player.bufferSeconds(), steepest: steepest() };
        """,
    )
    assert (result["ended"]["played"], result["ended"]["underruns"], result["ended"]["maxGapMs"]) == (9_600, 0, 0)
    assert result["after"] <= result["before"]
    assert result["steepest"] < SMOOTH
