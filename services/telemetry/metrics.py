"""Every metric of the edge and of the dialogue worker. A metric has its name here and nowhere else.

Both processes serve the whole list at `/metrics`; each moves only its own.
The Triton models publish their own metrics through the inference server.
"""

from prometheus_client import Counter, Gauge, Histogram

TURN_SECONDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0)
"""Buckets fine enough around the objective of 2 s to tell 1.4 s from 1.9 s; 2.0 is an edge of its own."""
ASSIGNMENT_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)

# Dialogue worker.
SESSIONS = Gauge("parley_sessions", "Sessions that this worker holds.")
SLOTS = Gauge("parley_session_slots", "Sessions that this worker can hold.")
REFUSED_SESSIONS = Counter("parley_sessions_refused", "Sessions refused because every slot was taken.")
TURNS = Counter("parley_turns", "Turns that ended, by how.", ["outcome"])
FIRST_AUDIO = Histogram(
    "parley_turn_first_audio_seconds",
    "End of the user's speech (or the typed message) to the first sample played, as the listener felt it.",
    buckets=TURN_SECONDS,
)
TURN_PART = Histogram(
    "parley_turn_part_seconds", "Time between two named moments of a turn.", ["part"], buckets=TURN_SECONDS
)
SPECULATIONS = Counter("parley_speculations", "Answers prepared in a pause, by what became of them.", ["outcome"])
SPECULATION_WON = Histogram(
    "parley_speculation_won_seconds",
    "Head start of an answer that was prepared in the pause and kept.",
    buckets=(0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0),
)
SPECULATION_WASTED_SECONDS = Counter(
    "parley_speculation_wasted_seconds", "Time spent on preparing answers that nobody wanted in the end."
)
SPECULATION_WASTED_CHARACTERS = Counter(
    "parley_speculation_wasted_characters", "Text that language models wrote for such answers."
)
INTERRUPTIONS = Counter("parley_interruptions", "Answers that the user stopped.")
UNDERRUNS = Counter("parley_underruns", "Times a player ran dry within an answer, as players report it.")
UPLINK_LOST_FRAMES = Counter("parley_uplink_lost_frames", "Microphone frames missing in the sequence at the worker.")
ERRORS = Counter("parley_errors", "Error events sent to clients by this process.", ["code"])

# Edge.
CONNECTIONS = Gauge("parley_edge_connections", "WebSocket connections open at this edge.")
REFUSED = Counter("parley_edge_refused", "Connections refused or ended by this edge, by error code.", ["code"])
RELAYED = Counter(
    "parley_edge_relayed_messages",
    "Messages relayed: up is towards the worker, down towards the browser.",
    ["direction"],
)
UPLINK_DROPPED = Counter("parley_edge_uplink_dropped", "Messages of clients that were not relayed.", ["reason"])
DOWNLINK_DROPPED = Counter("parley_edge_downlink_dropped", "Messages of workers that were not sent on.", ["reason"])
DOWNLINK_QUEUE_BYTES = Gauge("parley_edge_downlink_queue_bytes", "Bytes waiting for clients, all connections together.")
ASSIGNMENT = Histogram(
    "parley_edge_assignment_seconds",
    "Asking for a worker until one took the session.",
    buckets=ASSIGNMENT_SECONDS,
)
REASSIGNED = Counter(
    "parley_edge_reassigned", "Sessions whose worker was lost or left, by what became of them.", ["outcome"]
)
SLOW_CONSUMERS = Counter("parley_edge_slow_consumers", "Times this edge was too slow for what NATS sent it.")
NATS_CONNECTED = Gauge("parley_edge_nats_connected", "1 while this edge is connected to NATS.")
WORKERS = Gauge("parley_edge_workers", "Dialogue workers whose beats this edge hears.")
FREE_SLOTS = Gauge("parley_edge_free_slots", "Free places at those workers.")
