"""Log set-up: structlog in front, standard library loggers (uvicorn, nats) through the same renderer.

Bind what every line of a task should carry with `structlog.contextvars.bind_contextvars(session=sid, turn=n)`.
"""

import logging
import sys
from typing import Literal, TextIO

import structlog

Format = Literal["json", "console"]


def configure(service: str, fmt: Format = "console", level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send this process's logs to `stream` (default: stderr), one line each in JSON or readable in a console.

    Every line has `service`, `level`, `logger`, `event`, a UTC `timestamp` and what contextvars are bound.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    target = stream or sys.stderr
    final: list[structlog.types.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if fmt == "json":

        def name_service(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
            event["service"] = service
            return event

        final += [
            name_service,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ]
    else:
        final.append(
            structlog.dev.ConsoleRenderer(
                colors=target.isatty(),
                pad_event_to=0,
                exception_formatter=structlog.dev.plain_traceback,
            )
        )
    handler = logging.StreamHandler(target)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=final))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Their own handlers would print each line a second time, in another format.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Two lines per WebSocket and several around start and stop; the services say the same with context.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    # A line per question to the language model, also of those that are prepared and dropped.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
