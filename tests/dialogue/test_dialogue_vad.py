import asyncio
import wave
from pathlib import Path
from typing import Any

import faster_whisper
import numpy as np
import onnxruntime
import pytest

from services.dialogue.timeline import AudioClock
from services.dialogue.vad import WINDOW, DetectionTicks, Recurrence, VoiceDetector

SPEECH = Path(__file__).parents[2] / "loadtest" / "speech"


@pytest.fixture(scope="module")
def detector():
    return VoiceDetector()


def speech(name: str) -> np.ndarray:
    with wave.open(str(SPEECH / name)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    quiet = np.zeros(16000, np.float32)
    return np.concatenate([quiet, samples, quiet])


def windows(samples: np.ndarray) -> list[np.ndarray]:
    return [samples[i : i + WINDOW] for i in range(0, len(samples) - WINDOW + 1, WINDOW)]


def test_the_batched_model_equals_the_original_window_by_window(detector):
    """Three sessions scored together against the unchanged export, one session and window at a time."""
    original: Any = onnxruntime.InferenceSession(
        str(Path(faster_whisper.__file__).parent / "assets" / "silero_vad_v6.onnx"),
        providers=["CPUExecutionProvider"],
    )
    audio = [windows(speech(name)) for name in ("00-slt.wav", "01-rms.wav", "03-awb.wav")]
    sessions = [Recurrence() for _ in audio]
    states = [(np.zeros((1, 1, 128), np.float32), np.zeros((1, 1, 128), np.float32)) for _ in audio]
    contexts = [np.zeros(64, np.float32) for _ in audio]
    for step in range(min(len(one) for one in audio)):
        batch = [one[step] for one in audio]
        scores = detector.score(sessions, batch)
        for i, window in enumerate(batch):
            given = np.concatenate([contexts[i], window])[None]
            score, h, c = original.run(None, {"input": given, "h": states[i][0], "c": states[i][1]})
            states[i], contexts[i] = (h, c), window[-64:]
            assert scores[i] == pytest.approx(float(score[0]), abs=1e-5)


def test_it_tells_speech_from_silence(detector):
    one = Recurrence()
    scores = [detector.score([one], [window])[0] for window in windows(speech("00-slt.wav"))]
    assert max(scores[:28]) < 0.2
    assert max(scores[31:80]) > 0.95
    assert max(scores[-20:]) < 0.2


async def test_windows_of_one_session_keep_their_order_and_sessions_share_a_run():
    calls: list[int] = []

    class Counting(VoiceDetector):
        def __init__(self):
            pass

        def score(self, recurrences, windows):
            assert len({id(one) for one in recurrences}) == len(recurrences)
            calls.append(len(windows))
            return [float(window[0]) for window in windows]

    ticks = DetectionTicks(Counting(), tick_s=0)
    heard: dict[int, list[float]] = {0: [], 1: []}
    done = asyncio.Event()
    sessions = [Recurrence(), Recurrence()]

    def deliver(session):
        def take(score):
            heard[session].append(score)
            if sum(map(len, heard.values())) == 6:
                done.set()

        return take

    for n in range(3):
        for session in (0, 1):
            ticks.submit(sessions[session], np.full(WINDOW, n + 1, np.float32), deliver(session))
    await asyncio.wait_for(done.wait(), 5)
    assert heard == {0: [1, 2, 3], 1: [1, 2, 3]}
    assert calls == [2, 2, 2]


@pytest.mark.parametrize("loudness", [1.0, 0.1, 0.03])
async def test_silence_costs_no_run_and_speech_is_found_where_it_is(detector, loudness):
    """Down to 30 dB under a normal voice; against the model run on every window."""
    runs = 0

    class Counting(VoiceDetector):
        def __init__(self):
            pass

        def score(self, recurrences, windows):
            nonlocal runs
            runs += 1
            return detector.score(recurrences, windows)

    pieces = windows(speech("00-slt.wav") * np.float32(loudness))
    every = Recurrence()
    expected = [detector.score([every], [window])[0] for window in pieces]
    found: list[float] = []
    ticks, one, done = DetectionTicks(Counting(), tick_s=0), Recurrence(), asyncio.Event()

    def take(score: float) -> None:
        found.append(score)
        if len(found) == len(pieces):
            done.set()

    for window in pieces:
        ticks.submit(one, window, take)
    await asyncio.wait_for(done.wait(), 10)
    assert runs < len(pieces) - 50
    assert abs(voiced(found)[0] - voiced(expected)[0]) <= 1
    assert abs(voiced(found)[-1] - voiced(expected)[-1]) <= 2


def voiced(scores: list[float]) -> list[int]:
    return [number for number, score in enumerate(scores) if score >= 0.5]


class TestAudioClock:
    def test_it_follows_the_least_delayed_frame(self):
        clock = AudioClock()
        for n in range(100):
            late = 0.08 if n % 7 else 0.0
            clock.arrived((n + 1) * 320, 10 + (n + 1) * 0.02 + late, n * 320, 5000 + n * 20)
        assert clock.worker_time(16000) == pytest.approx(11.0, abs=0.002)
        assert clock.client_ms(16000) == pytest.approx(6000)

    def test_a_pause_in_the_stream_starts_anew(self):
        clock = AudioClock()
        clock.arrived(320, 10.0, 0, 5000)
        clock.arrived(640, 15.0, 320, 10_000)
        assert clock.worker_time(640) == pytest.approx(15.0)
        assert clock.client_ms(640) == pytest.approx(10_020)

    def test_a_burst_after_a_stall_does_not_move_the_past(self):
        clock = AudioClock()
        clock.arrived(320, 10.02, 0, 0)
        for n in range(1, 10):
            clock.arrived((n + 1) * 320, 10.2, n * 320, n * 20)
        assert clock.worker_time(3200) == pytest.approx(10.2, abs=0.001)
