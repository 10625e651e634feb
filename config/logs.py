"""Logging of a process, set up once: for a reader on a terminal, or one JSON object per line.

Libraries that use the standard `logging` (the HTTP server) come out in the same form. A log that cannot be
written, because its disk is full or its reader is gone, ends no process: lines are lost, and counted.
"""

import json
import logging
import os
import sys
from typing import TextIO, cast

import structlog

from config.settings import LogSettings
from config.visible import visible


class Outlet:
    """Where lines of log go. Those that it does not take are lost; the next that it takes says how many.

    A line is written past Python's buffers: what they cannot get rid of they would try again at the end of
    the process, and change its exit code.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lost = 0
        self._torn = False

    def write(self, text: str) -> None:
        told = {"lines": self._lost, "event": "lines of log were lost", "level": "warning"}
        line = f"{json.dumps(told)}\n{text}" if self._lost else text
        try:
            self._put(f"\n{line}" if self._torn else line)
        except OSError:
            self._lost += 1
        else:
            self._lost, self._torn = 0, False

    def flush(self) -> None:
        """There is nothing to do: no line waits."""

    def _put(self, text: str) -> None:
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        descriptor = self._stream.fileno()
        while rest:
            rest = rest[os.write(descriptor, rest) :]
            self._torn = bool(rest)


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
    outlet = Outlet(sys.stderr)
    structlog.configure(
        processors=[*shared, *endings],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", outlet)),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**bound)
    handler = logging.StreamHandler(outlet)
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
