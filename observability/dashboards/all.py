"""The five dashboards. Hops are never named here: they are the values of the label `part`, whatever those are."""

from observability.dashboards.panels import Dashboard, Panel, Query, quantile, rate

_FIRST_AUDIO = "parley_turn_first_audio_seconds"
_PART = "parley_turn_part_seconds"
_LATE = "parley_event_loop_late_seconds"


def _percentiles(histogram: str, by: str = "") -> list[Query]:
    legend = f" {{{{{by}}}}}" if by else ""
    return [Query(quantile(share, histogram, by), f"p{share * 100:g}{legend}", True) for share in (0.5, 0.95, 0.99)]


LATENCY = Dashboard(
    "parley-latency",
    "Parley: conversation latency by hop",
    "Where the time of turns goes, from the end of the user's speech to the first sample heard.",
    [
        Panel(
            "First audio",
            "What listeners felt. A dot is one turn: click it for its trace.",
            _percentiles(_FIRST_AUDIO),
            "s",
            limit=2.0,
            traces=True,
        ),
        Panel(
            "Mean turn by hop",
            "The hops of an average turn, one above the other: they sum to its time to the first audio.",
            [
                Query(
                    f"sum by (part) (rate({_PART}_sum[$__rate_interval]))"
                    f" / scalar(sum(rate({_FIRST_AUDIO}_count[$__rate_interval])))",
                    "{{part}}",
                )
            ],
            "s",
            stacked=True,
            traces=True,
        ),
        Panel(
            "p95 by hop",
            "The hop that sticks out is the one to look at.",
            [Query(quantile(0.95, _PART, "part"), "{{part}}", True)],
            "s",
            traces=True,
        ),
        Panel(
            "p99 by hop",
            "The same for the worst turns.",
            [Query(quantile(0.99, _PART, "part"), "{{part}}", True)],
            "s",
            traces=True,
        ),
        Panel(
            "Turns by outcome",
            "Turns a second that ended so.",
            [Query(rate("parley_turns_total", "outcome"), "{{outcome}}")],
        ),
        Panel(
            "Speculation",
            "Answers prepared in a pause, by what became of them; the second axis of the cost is the next panel.",
            [Query(rate("parley_speculations_total", "outcome"), "{{outcome}}")],
        ),
        Panel(
            "Work prepared in vain",
            "Seconds of preparing, per second, that nobody wanted in the end.",
            [Query(rate("parley_speculation_wasted_seconds_total"), "in vain")],
            "s",
        ),
        Panel(
            "Interruptions and false ones",
            "Answers stopped, by what; paused and resumed: a cough, an echo or a hum.",
            [
                Query(rate("parley_interruptions_total", "kind"), "{{kind}}"),
                Query(rate("parley_answers_paused_total"), "paused"),
                Query(rate("parley_answers_resumed_total"), "resumed"),
            ],
        ),
    ],
)

CAPACITY = Dashboard(
    "parley-capacity",
    "Parley: capacity",
    "How much room there is, and what is turned away.",
    [
        Panel(
            "Slots taken",
            "Over 85 % it is time for another worker.",
            [Query("parley:sessions:slot_ratio", "taken")],
            "percentunit",
            "gauge",
            6,
            limit=0.85,
        ),
        Panel("Sessions", "Of all workers.", [Query("sum(parley_sessions)", "sessions")], kind="stat", width=6),
        Panel(
            "Sessions and slots",
            "Sessions without a client keep their slot until somebody needs it.",
            [
                Query("sum(parley_sessions)", "sessions"),
                Query("sum(parley_sessions_without_client)", "without client"),
                Query("sum(parley_session_slots)", "slots"),
            ],
        ),
        Panel("Sessions by worker", "Unequal for long: beats are lost.", [Query("parley_sessions", "{{instance}}")]),
        Panel(
            "Refused",
            "Connections turned away, by reason.",
            [Query(rate("parley_edge_refused_total", "code"), "{{code}}")],
        ),
        Panel(
            "Refused by workers",
            "Another worker may have taken them.",
            [Query(rate("parley_sessions_refused_total"), "busy")],
        ),
        Panel(
            "Event loop late (p99)",
            "What all sessions of a process share. Over 100 ms it has too much to do.",
            [Query(quantile(0.99, _LATE, "job, instance"), "{{job}} {{instance}}")],
            "s",
            limit=0.1,
        ),
        Panel(
            "Processor",
            "Cores used.",
            [
                Query(
                    "sum by (job, instance) (rate(process_cpu_seconds_total[$__rate_interval]))", "{{job}} {{instance}}"
                )
            ],
        ),
        Panel(
            "Memory",
            "Flat under equal load.",
            [Query("process_resident_memory_bytes", "{{job}} {{instance}}")],
            "bytes",
        ),
        Panel(
            "Versions",
            "What runs.",
            [Query("count by (service, version) (parley_build_info)", "{{service}} {{version}}")],
            kind="stat",
        ),
    ],
)

MODELS = Dashboard(
    "parley-models",
    "Parley: models and GPU",
    "Speech models as their clients and as they see themselves, the language model, and the GPU where there is one.",
    [
        Panel(
            "First token of the language model",
            "Retries included.",
            _percentiles("parley_language_first_token_seconds"),
            "s",
        ),
        Panel(
            "Language model",
            "Requests by outcome, retries and tokens a second.",
            [
                Query(rate("parley_language_requests_total", "outcome"), "{{outcome}}"),
                Query(rate("parley_language_retries_total"), "retries"),
                Query(rate("parley_language_tokens_total"), "tokens"),
            ],
        ),
        Panel(
            "Transcript after asking",
            "As the worker sees it.",
            _percentiles("parley_recognition_final_seconds", "model"),
            "s",
        ),
        Panel(
            "First samples after asking",
            "As the worker sees it.",
            _percentiles("parley_synthesis_first_chunk_seconds", "model"),
            "s",
        ),
        Panel(
            "Real-time factor (p95)",
            "Over 1 a model falls behind: the speaker, or the listener hears gaps.",
            [
                Query(quantile(0.95, "parley_recognition_real_time_factor", "model"), "{{model}}"),
                Query(quantile(0.95, "parley_synthesis_real_time_factor", "model"), "{{model}}"),
            ],
            limit=1.0,
        ),
        Panel(
            "Audio a second",
            "Seconds of speech recognised and made, per second.",
            [
                Query(rate("parley_recognition_audio_seconds_total", "model"), "{{model}}"),
                Query(rate("parley_synthesis_audio_seconds_total", "model"), "{{model}}"),
            ],
        ),
        Panel(
            "Slots of the models, busy",
            "At 90 % requests begin to wait or to be refused.",
            [Query("parley:model_slots:busy_ratio_rate5m", "{{model}}")],
            "percentunit",
            limit=0.9,
        ),
        Panel(
            "Streams now",
            "Requests that hold a slot.",
            [Query("parley_stt_active_streams", "{{model}}"), Query("parley_tts_active_streams", "{{model}}")],
        ),
        Panel(
            "Refused and cancelled by the models",
            "Cancelled is what barge-in does; refused is want of slots.",
            [
                Query(rate("parley_stt_rejected_total", "model"), "refused {{model}}"),
                Query(rate("parley_tts_rejected_total", "model"), "refused {{model}}"),
                Query(rate("parley_stt_cancelled_total", "model"), "cancelled {{model}}"),
                Query(rate("parley_tts_cancelled_total", "model"), "cancelled {{model}}"),
            ],
        ),
        Panel(
            "Failures",
            "What no replica gave, by reason.",
            [Query(rate("parley_speech_failures_total", "model, reason"), "{{model}} {{reason}}")],
        ),
        Panel(
            "First samples, in the model",
            "Without queue and network.",
            _percentiles("parley_tts_first_audio_seconds", "model"),
            "s",
        ),
        Panel(
            "Final transcript, in the model",
            "Without queue and network.",
            _percentiles("parley_stt_final_seconds", "model"),
            "s",
        ),
        Panel("Voice detector", "One run; the event loop waits for it.", _percentiles("parley_detection_seconds"), "s"),
        Panel("GPU", "Share of time in use.", [Query("nv_gpu_utilization", "{{gpu_uuid}}")], "percentunit"),
        Panel(
            "GPU memory",
            "Used and there.",
            [
                Query("nv_gpu_memory_used_bytes", "used {{gpu_uuid}}"),
                Query("nv_gpu_memory_total_bytes", "all {{gpu_uuid}}"),
            ],
            "bytes",
        ),
    ],
)

EDGE = Dashboard(
    "parley-edge",
    "Parley: edge and NATS",
    "Connections, queues, and everything that was dropped and why.",
    [
        Panel("Connections", "By edge.", [Query("parley_edge_connections", "{{instance}}")]),
        Panel(
            "Workers heard",
            "By edge; unequal numbers: beats are lost.",
            [
                Query("parley_edge_workers", "workers {{instance}}"),
                Query("parley_edge_free_slots", "free slots {{instance}}"),
            ],
        ),
        Panel(
            "Messages",
            "Up is towards the worker.",
            [Query(rate("parley_edge_relayed_messages_total", "direction"), "{{direction}}")],
        ),
        Panel(
            "Assignment",
            "Asking for a worker until one took the session.",
            _percentiles("parley_edge_assignment_seconds"),
            "s",
        ),
        Panel(
            "Dropped on the way up",
            "By reason.",
            [Query(rate("parley_edge_uplink_dropped_total", "reason"), "{{reason}}")],
        ),
        Panel(
            "Dropped on the way down",
            "By reason; interrupted is barge-in.",
            [Query(rate("parley_edge_downlink_dropped_total", "reason"), "{{reason}}")],
        ),
        Panel(
            "Frames lost before the worker",
            "Gaps in the sequence.",
            [Query(rate("parley_uplink_lost_frames_total"), "lost")],
        ),
        Panel(
            "Players that ran dry", "Gaps that listeners heard.", [Query(rate("parley_underruns_total"), "underruns")]
        ),
        Panel(
            "Queues in messages",
            "Longer than a moment: who should take them is too slow.",
            [
                Query("sum(parley_edge_uplink_held_messages)", "held at the edge"),
                Query("sum(parley_worker_outgoing_messages)", "outgoing at workers"),
            ],
        ),
        Panel(
            "Queues in bytes",
            "Waiting for slow clients, and for NATS.",
            [
                Query("sum(parley_edge_downlink_queue_bytes)", "for clients"),
                Query("sum(parley_edge_nats_outgoing_bytes)", "for NATS"),
            ],
            "bytes",
        ),
        Panel(
            "NATS connected",
            "1 by process; 0 stands still.",
            [
                Query("parley_edge_nats_connected", "edge {{instance}}"),
                Query("parley_worker_nats_connected", "worker {{instance}}"),
            ],
        ),
        Panel(
            "Slow consumers",
            "NATS sent more than was taken.",
            [
                Query(rate("parley_edge_slow_consumers_total"), "edges"),
                Query(rate("parley_worker_slow_consumers_total"), "workers"),
            ],
        ),
        Panel(
            "Sessions of lost workers",
            "What became of them.",
            [Query(rate("parley_edge_reassigned_total", "outcome"), "{{outcome}}")],
        ),
        Panel(
            "Errors told to clients",
            "By code.",
            [
                Query(rate("parley_errors_total", "code"), "worker {{code}}"),
                Query(rate("parley_edge_errors_total", "code"), "edge {{code}}"),
            ],
        ),
    ],
)

OBJECTIVE = Dashboard(
    "parley-objective",
    "Parley: objective",
    "99 % of turns hear their first audio within 2 s, over 30 days.",
    [
        Panel(
            "Kept, 3 days",
            "The objective is 99 %.",
            [Query("1 - parley:turns_missed:ratio_rate3d", "kept")],
            "percentunit",
            "gauge",
            6,
        ),
        Panel(
            "Pace of the budget, 1 hour",
            "1 spends a month's budget in a month; 14.4 in two days.",
            [Query("parley:turns_missed:ratio_rate1h / 0.01", "burn")],
            kind="stat",
            width=6,
            limit=1.0,
        ),
        Panel(
            "Pace by window",
            "An alert fires when a long and its short window are both over its factor: 14.4 (1h, 5m), 6 (6h, 30m),"
            " 3 (1d, 2h), 1 (3d, 6h).",
            [
                Query(f"parley:turns_missed:ratio_rate{window} / 0.01", window)
                for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
            ],
        ),
        Panel(
            "First audio, 5 minutes",
            "Against 2 s.",
            [Query(f"parley:turn_first_audio_seconds:{name}_5m", name) for name in ("p50", "p95", "p99")],
            "s",
            limit=2.0,
        ),
        Panel("Turns", "What the ratio is made of.", [Query(rate(f"{_FIRST_AUDIO}_count"), "turns")]),
        Panel("p95 by hop, 5 minutes", "Where to look.", [Query("parley:turn_part_seconds:p95_5m", "{{part}}")], "s"),
        Panel(
            "Mean by hop, 5 minutes",
            "Of the turns that have the hop.",
            [Query("parley:turn_part_seconds:mean_5m", "{{part}}")],
            "s",
        ),
    ],
)

DASHBOARDS = (LATENCY, CAPACITY, MODELS, EDGE, OBJECTIVE)
