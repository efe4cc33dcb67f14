"""The recogniser of a machine without GPU and downloads: PocketSphinx with its own English model.

Demo grade: near a quiet microphone it understands everyday sentences; noise and echo defeat it.
"""

import os

import numpy as np

from services.contracts.audio import UPLINK
from services.recognition.decoder_pool import DecoderPool
from services.recognition.utterance import Utterance
from services.recognition.utterances import Observer, Utterances


def load(slots: int, observer: Observer) -> Utterances:
    """The recogniser with as many decoders made as the machine has cores, the rest on demand.

    One utterance has gone through the full path when this returns. Raises DecoderError.
    """
    decoders = DecoderPool(slots)
    decoders.warm_up(os.cpu_count() or 1)
    _exercise(decoders)
    return Utterances(slots, lambda identity: Utterance(identity, decoders), observer)


def _exercise(decoders: DecoderPool) -> None:
    seconds = np.arange(UPLINK.sample_rate // 2, dtype=np.float32) / UPLINK.sample_rate
    humming = np.sin(2 * np.pi * 150 * seconds) * np.sin(2 * np.pi * 3 * seconds) * 0.1
    utterance = Utterance("warm-up", decoders)
    try:
        utterance.append(humming.astype(np.float32))
        utterance.partial()
        utterance.final()
    finally:
        utterance.close()
