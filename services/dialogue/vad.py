"""Voice activity: Silero v6, loaded once per process, run once per tick over all sessions that have a window.

The model is the ONNX file in the faster-whisper wheel. That export walks through one recording, window after
window; turning one transposition makes its recurrent layer take a batch of sessions instead. The test suite
holds the two equal.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faster_whisper  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
import onnx
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from services.telemetry import metrics

WINDOW = 512
"""Samples per decision: 32 ms."""
_CONTEXT = 64
_HIDDEN = 128
_MODEL = Path(faster_whisper.__file__).parent / "assets" / "silero_vad_v6.onnx"
_LARGEST_BATCH = 64
_SILENCE = 0.0003
"""No voice is as faint: 70 dB under full scale, ten steps of sixteen bits."""

Samples = NDArray[np.float32]

_runtime: Any = onnxruntime
"""The library has no types."""


def _zeros(size: int) -> Callable[[], Samples]:
    return lambda: np.zeros(size, np.float32)


@dataclass
class Recurrence:
    """What the model remembers of one session's audio: about 1 kB."""

    hidden: Samples = field(default_factory=_zeros(_HIDDEN))
    cell: Samples = field(default_factory=_zeros(_HIDDEN))
    context: Samples = field(default_factory=_zeros(_CONTEXT))

    def forget(self) -> None:
        self.hidden, self.cell, self.context = _zeros(_HIDDEN)(), _zeros(_HIDDEN)(), _zeros(_CONTEXT)()


def _batched_model() -> bytes:
    model = onnx.load_model_from_string(_MODEL.read_bytes())
    turned = [node for node in model.graph.node if node.name == "/Transpose"]
    if len(turned) != 1 or list(turned[0].attribute[0].ints) != [0, 2, 1]:
        raise RuntimeError(f"{_MODEL.name} is not the Silero v6 graph that this version of Parley knows")
    turned[0].attribute[0].ints[:] = [2, 0, 1]
    for value in [*model.graph.input, *model.graph.output]:
        sizes = value.type.tensor_type.shape.dim
        sizes[1 if len(sizes) == 3 else 0].dim_param = "sessions"
    del model.graph.value_info[:]
    return model.SerializeToString()


class VoiceDetector:
    def __init__(self) -> None:
        options = _runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        self._session: Any = _runtime.InferenceSession(
            _batched_model(), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def score(self, recurrences: list[Recurrence], windows: list[Samples]) -> list[float]:
        """The probability of voice in each window of WINDOW float32 samples in -1..1 at 16 kHz.

        `recurrences` are those of the windows' sessions, each at most once, and move on by one window.
        """
        batch = np.empty((len(windows), _CONTEXT + WINDOW), np.float32)
        for row, (recurrence, window) in enumerate(zip(recurrences, windows, strict=True)):
            batch[row, :_CONTEXT] = recurrence.context
            batch[row, _CONTEXT:] = window
        hidden: Samples = np.stack([one.hidden for one in recurrences])[None]
        cell: Samples = np.stack([one.cell for one in recurrences])[None]
        scores, hidden, cell = self._session.run(None, {"input": batch, "h": hidden, "c": cell})
        for row, recurrence in enumerate(recurrences):
            recurrence.hidden = hidden[0, row]
            recurrence.cell = cell[0, row]
            recurrence.context = batch[row, -_CONTEXT:]
        return [float(score) for score in scores]


_Item = tuple[Recurrence, Samples, Callable[[float], None]]


class DetectionTicks:
    """Collects windows of all sessions for `tick_s` and scores them together.

    A window waits at most a tick; the windows of one session keep their order. One of silence costs no run of the
    model, which is most of a conversation: browsers send digital silence where nobody speaks.
    """

    def __init__(self, detector: VoiceDetector, tick_s: float = 0.004) -> None:
        self._detector = detector
        self._tick_s = tick_s
        self._waiting: deque[_Item] = deque()
        self._scheduled = False

    def submit(self, recurrence: Recurrence, window: Samples, deliver: Callable[[float], None]) -> None:
        """`deliver` is called with the window's score from the event loop."""
        self._waiting.append((recurrence, window, deliver))
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(self._tick_s, self._run)

    def _run(self) -> None:
        self._scheduled = False
        while self._waiting:
            batch: list[_Item] = []
            later: deque[_Item] = deque()
            silent: list[_Item] = []
            taken: set[int] = set()
            for item in self._waiting:
                recurrence, window, _ = item
                if len(batch) == _LARGEST_BATCH or id(recurrence) in taken:
                    later.append(item)
                    continue
                taken.add(id(recurrence))
                if _is_silent(window):
                    recurrence.forget()
                    silent.append(item)
                else:
                    batch.append(item)
            self._waiting = later
            scores = self._score(batch) if batch else []
            for (_, _, deliver), score in zip([*batch, *silent], [*scores, *(0.0 for _ in silent)], strict=True):
                deliver(score)

    def _score(self, batch: list[_Item]) -> list[float]:
        begun = time.perf_counter()
        scores = self._detector.score([item[0] for item in batch], [item[1] for item in batch])
        metrics.DETECTION.observe(time.perf_counter() - begun)
        metrics.DETECTION_WINDOWS.observe(len(batch))
        return scores


def _is_silent(window: Samples) -> bool:
    return bool(np.abs(window).max() < _SILENCE)


@dataclass(frozen=True)
class Sensitivity:
    """Scores at which voice begins, and under which it ends."""

    begin: float
    end: float


SENSITIVITIES = (
    Sensitivity(0.35, 0.2),
    Sensitivity(0.5, 0.35),
    Sensitivity(0.65, 0.5),
    Sensitivity(0.8, 0.65),
)
"""By the setting `pause_sensitivity`, 0 to 3."""
