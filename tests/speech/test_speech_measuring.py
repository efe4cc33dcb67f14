import pytest

from services.contracts.audio import DOWNLINK, UPLINK
from services.speech.errors import Reason, SpeechUnavailable
from services.speech.measuring import RecognitionMeasures, SynthesisMeasures
from services.telemetry import metrics


def test_an_utterance_counts_by_its_audio_and_its_time():
    measures = RecognitionMeasures("measured-recogniser")
    measures.utterance(4 * UPLINK.sample_rate, busy=1.0)
    measures.utterance(0, busy=1.0)
    assert metrics.RECOGNISED_SECONDS.labels("measured-recogniser")._value.get() == 4
    assert metrics.RECOGNITION_FACTOR.labels("measured-recogniser")._sum.get() == pytest.approx(0.25)


def test_a_sentence_counts_by_its_audio_and_its_time():
    measures = SynthesisMeasures("measured-voice")
    measures.sentence(2 * DOWNLINK.sample_rate * 2, took=1.0)
    assert metrics.SYNTHESISED_SECONDS.labels("measured-voice")._value.get() == 2
    assert metrics.SYNTHESIS_FACTOR.labels("measured-voice")._sum.get() == pytest.approx(0.5)


def test_a_failure_counts_by_its_reason():
    measures = SynthesisMeasures("measured-failures")
    measures.failed(SpeechUnavailable(Reason.DEADLINE, "too late"))
    assert metrics.SPEECH_FAILURES.labels("measured-failures", str(Reason.DEADLINE))._value.get() == 1
