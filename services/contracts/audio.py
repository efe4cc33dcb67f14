"""The two audio formats on the wire. Both are mono PCM16, little endian."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AudioFormat:
    sample_rate: int
    """Samples per second."""
    frame_samples: int
    """Samples in one wire frame; the last frame of an answer may be shorter."""

    @property
    def frame_bytes(self) -> int:
        return self.frame_samples * 2

    @property
    def frame_seconds(self) -> float:
        return self.frame_samples / self.sample_rate


UPLINK = AudioFormat(sample_rate=16_000, frame_samples=320)
"""Microphone: 20 ms frames at the rate that Whisper and Silero were trained on."""

DOWNLINK = AudioFormat(sample_rate=24_000, frame_samples=2_400)
"""Answer: at most 100 ms a frame, at Higgs Audio's native rate."""

MAX_UPLINK_SAMPLES = 5 * UPLINK.frame_samples
"""A client may put up to 100 ms in one frame; a longer one is refused."""
