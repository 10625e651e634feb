"""Logging of a process, set up once: for a reader on a terminal, or one JSON object per line.

Libraries that use the standard `logging` (the HTTP server) come out in the same form.
"""

import logging
import sys

import structlog

from config.settings import LogSettings
from config.visible import visible


def configure_logging(settings: LogSettings, **bound: str) -> None:
    """Send every record of this process, structlog's and `logging`'s, to standard error.

    `bound` stands in every record.
    """
    readable = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if readable:
        endings: list[structlog.typing.Processor] = [_visible, structlog.dev.ConsoleRenderer()]
    else:
        endings = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *endings],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**bound)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *endings],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))  # a library's chatter below a warning is nobody's news


def _visible(logger: object, name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A processor that lets no text of a peer or a caller play with the terminal."""
    return {visible(key): visible(value) if isinstance(value, str) else value for key, value in event.items()}
