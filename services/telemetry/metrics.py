"""Every metric of the edge and of the dialogue worker. A metric has its name here and nowhere else.

Each process serves its own registry at `/metrics`: WORKER or EDGE, both with what is common to all processes.
The Triton models publish their own metrics through the inference server; those names are in `model_metrics.py`.
docs/metrics.md is made from both by `scripts/metrics_table.py`.

Label values that are known beforehand are there from the start: a counter that appears with its first event hides that
event from `rate()`, and a panel of something that has not happened yet shows 0 and not a hole.
"""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics

from services.contracts.errors import Code
from services.contracts.moments import PARTS

# A `_created` sample beside every counter and histogram would be a third of all series, and nothing here asks for it.
disable_created_metrics()

WORKER = CollectorRegistry()
EDGE = CollectorRegistry()
WORKER.register(REGISTRY)
EDGE.register(REGISTRY)

TURN_SECONDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0)
"""Buckets fine enough around the objective of 2 s to tell 1.4 s from 1.9 s; 2.0 is an edge of its own."""
_MILLISECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
PART_SECONDS = (*_MILLISECONDS, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0)
"""A hop takes a millisecond or most of the turn."""
MODEL_SECONDS = (*_MILLISECONDS, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
FIRST_TOKEN_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Those of `gen_ai.server.time_to_first_token` in OpenTelemetry's conventions, so that figures can be compared."""
REAL_TIME_FACTORS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 4.0)
ASSIGNMENT_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
LATE_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

# Every process.
BUILD = Info("parley_build", "What runs here: the service, Parley's version and Python's.")
LOOP_LATE = Histogram(
    "parley_event_loop_late_seconds",
    "How much too late the event loop wakes a timer, tried ten times a second: what all sessions of a process share.",
    buckets=LATE_SECONDS,
)

# Dialogue worker.
SESSIONS = Gauge("parley_sessions", "Sessions that this worker holds.", registry=WORKER)
SESSIONS_WITHOUT_CLIENT = Gauge(
    "parley_sessions_without_client",
    "Of them, those whose client is gone: they keep their slot until it comes back or somebody needs it.",
    registry=WORKER,
)
SLOTS = Gauge("parley_session_slots", "Sessions that this worker can hold.", registry=WORKER)
REFUSED_SESSIONS = Counter("parley_sessions_refused", "Sessions refused because every slot was taken.", registry=WORKER)
TURNS = Counter("parley_turns", "Turns that ended, by how.", ["outcome"], registry=WORKER)
FIRST_AUDIO = Histogram(
    "parley_turn_first_audio_seconds",
    "End of the user's speech (or the typed message) to the first sample played, as the listener felt it.",
    buckets=TURN_SECONDS,
    registry=WORKER,
)
TURN_PART = Histogram(
    "parley_turn_part_seconds",
    "Time between two named moments of a turn. The parts of a turn sum to what the listener felt.",
    ["part"],
    buckets=PART_SECONDS,
    registry=WORKER,
)
SPECULATIONS = Counter(
    "parley_speculations", "Answers prepared in a pause, by what became of them.", ["outcome"], registry=WORKER
)
SPECULATION_WON = Histogram(
    "parley_speculation_won_seconds",
    "Head start of an answer that was prepared in the pause and kept.",
    buckets=(0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0),
    registry=WORKER,
)
SPECULATION_WASTED_SECONDS = Counter(
    "parley_speculation_wasted_seconds",
    "Time spent on preparing answers that nobody wanted in the end.",
    registry=WORKER,
)
SPECULATION_WASTED_CHARACTERS = Counter(
    "parley_speculation_wasted_characters", "Text that language models wrote for such answers.", registry=WORKER
)
INTERRUPTIONS = Counter(
    "parley_interruptions",
    "Answers that were stopped: by a voice over them, by the button, by a typed message, or otherwise (the conversation"
    " was left or begun anew).",
    ["kind"],
    registry=WORKER,
)
ANSWERS_PAUSED = Counter("parley_answers_paused", "Answers held because of a voice over them.", registry=WORKER)
ANSWERS_RESUMED = Counter(
    "parley_answers_resumed", "Of them, those that went on, since it was a cough, an echo or a hum.", registry=WORKER
)
UNDERRUNS = Counter(
    "parley_underruns", "Times a player ran dry within an answer, as players report it.", registry=WORKER
)
UPLINK_LOST_FRAMES = Counter(
    "parley_uplink_lost_frames", "Microphone frames missing in the sequence at the worker.", registry=WORKER
)
DETECTION_WINDOWS = Histogram(
    "parley_detection_batch_windows",
    "Windows of 32 ms that one run of the voice detector scored together, silent ones not counted.",
    buckets=(1, 2, 4, 8, 16, 32, 64),
    registry=WORKER,
)
DETECTION = Histogram(
    "parley_detection_seconds",
    "Time of one run of the voice detector; the event loop waits for it.",
    buckets=LATE_SECONDS,
    registry=WORKER,
)
LANGUAGE_FIRST_TOKEN = Histogram(
    "parley_language_first_token_seconds",
    "Asking the language model, retries included, to the first it writes, be it thoughts.",
    buckets=FIRST_TOKEN_SECONDS,
    registry=WORKER,
)
LANGUAGE_REQUESTS = Counter(
    "parley_language_requests",
    "Answers that the language model was asked for, by how that ended; dropped: nobody wanted the rest.",
    ["outcome"],
    registry=WORKER,
)
LANGUAGE_RETRIES = Counter(
    "parley_language_retries", "Times it was asked again after a failure that may pass.", registry=WORKER
)
LANGUAGE_TOKENS = Counter(
    "parley_language_tokens", "Pieces of answers that language models streamed, about one token each.", registry=WORKER
)
RECOGNITION_FINAL = Histogram(
    "parley_recognition_final_seconds",
    "Asking a recognition model for a transcript, early or final, to having it, as its client sees it.",
    ["model"],
    buckets=MODEL_SECONDS,
    registry=WORKER,
)
RECOGNITION_FACTOR = Histogram(
    "parley_recognition_real_time_factor",
    "Time that an utterance's requests took, per second of its audio; over 1 the model falls behind the speaker.",
    ["model"],
    buckets=REAL_TIME_FACTORS,
    registry=WORKER,
)
RECOGNISED_SECONDS = Counter(
    "parley_recognition_audio_seconds", "Audio of the utterances that were transcribed.", ["model"], registry=WORKER
)
SYNTHESIS_FIRST_CHUNK = Histogram(
    "parley_synthesis_first_chunk_seconds",
    "Asking a synthesis model for a sentence to its first samples, other replicas that were tried included.",
    ["model"],
    buckets=MODEL_SECONDS,
    registry=WORKER,
)
SYNTHESIS_FACTOR = Histogram(
    "parley_synthesis_real_time_factor",
    "Time that a whole sentence took, per second of its audio; over 1 the listener hears gaps.",
    ["model"],
    buckets=REAL_TIME_FACTORS,
    registry=WORKER,
)
SYNTHESISED_SECONDS = Counter(
    "parley_synthesis_audio_seconds", "Audio that synthesis models made.", ["model"], registry=WORKER
)
SPEECH_FAILURES = Counter(
    "parley_speech_failures",
    "Transcripts and sentences that no replica of a speech model gave, by why not.",
    ["model", "reason"],
    registry=WORKER,
)
ERRORS = Counter("parley_errors", "Error events sent to clients by this worker.", ["code"], registry=WORKER)
WORKER_NATS_CONNECTED = Gauge(
    "parley_worker_nats_connected", "1 while this worker is connected to NATS.", registry=WORKER
)
WORKER_SLOW_CONSUMERS = Counter(
    "parley_worker_slow_consumers", "Times this worker was too slow for what NATS sent it.", registry=WORKER
)
WORKER_OUTGOING = Gauge(
    "parley_worker_outgoing_messages", "Messages of this worker that NATS has not taken yet.", registry=WORKER
)

# Edge.
CONNECTIONS = Gauge("parley_edge_connections", "WebSocket connections open at this edge.", registry=EDGE)
REFUSED = Counter(
    "parley_edge_refused", "Connections refused or ended by this edge, by error code.", ["code"], registry=EDGE
)
EDGE_ERRORS = Counter("parley_edge_errors", "Error events sent to clients by this edge.", ["code"], registry=EDGE)
RELAYED = Counter(
    "parley_edge_relayed_messages",
    "Messages relayed: up is towards the worker, down towards the browser.",
    ["direction"],
    registry=EDGE,
)
UPLINK_DROPPED = Counter(
    "parley_edge_uplink_dropped", "Messages of clients that were not relayed, by why not.", ["reason"], registry=EDGE
)
UPLINK_HELD = Gauge(
    "parley_edge_uplink_held_messages",
    "Messages of clients that wait for NATS or for another worker, all connections together.",
    registry=EDGE,
)
DOWNLINK_DROPPED = Counter(
    "parley_edge_downlink_dropped", "Messages of workers that were not sent on, by why not.", ["reason"], registry=EDGE
)
DOWNLINK_QUEUE_BYTES = Gauge(
    "parley_edge_downlink_queue_bytes", "Bytes waiting for clients, all connections together.", registry=EDGE
)
ASSIGNMENT = Histogram(
    "parley_edge_assignment_seconds",
    "Asking for a worker until one took the session.",
    buckets=ASSIGNMENT_SECONDS,
    registry=EDGE,
)
REASSIGNED = Counter(
    "parley_edge_reassigned",
    "Sessions whose worker was lost or left, by what became of them.",
    ["outcome"],
    registry=EDGE,
)
SLOW_CONSUMERS = Counter(
    "parley_edge_slow_consumers", "Times this edge was too slow for what NATS sent it.", registry=EDGE
)
NATS_CONNECTED = Gauge("parley_edge_nats_connected", "1 while this edge is connected to NATS.", registry=EDGE)
NATS_OUTGOING_BYTES = Gauge(
    "parley_edge_nats_outgoing_bytes", "Bytes of this edge that NATS has not taken yet.", registry=EDGE
)
WORKERS = Gauge("parley_edge_workers", "Dialogue workers whose beats this edge hears.", registry=EDGE)
FREE_SLOTS = Gauge("parley_edge_free_slots", "Free places at those workers.", registry=EDGE)

_KNOWN = (
    (TURNS, ("answered", "interrupted", "failed", "withdrawn")),
    (TURN_PART, [part[0] for part in PARTS]),
    (SPECULATIONS, ("kept", "resumed", "changed")),
    (INTERRUPTIONS, ("voice", "button", "typed", "other")),
    (LANGUAGE_REQUESTS, ("answered", "failed", "timeout", "dropped")),
    (ERRORS, list(Code)),
    (EDGE_ERRORS, list(Code)),
    (REFUSED, list(Code)),
    (RELAYED, ("up", "down")),
    (UPLINK_DROPPED, ("age", "epoch", Code.MALFORMED_FRAME, Code.RATE_LIMITED, Code.INVALID_COMMAND)),
    (DOWNLINK_DROPPED, ("stale", "interrupted", "malformed")),
    (REASSIGNED, ("resumed", "failed")),
)


def _begin_at_zero() -> None:
    for metric, values in _KNOWN:
        for value in values:
            metric.labels(value)


_begin_at_zero()
