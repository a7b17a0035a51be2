"""Logs on standard error: JSON lines with a priority for journald, readable lines on a terminal."""

import contextlib
import logging
import sys
import traceback
from typing import Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

# systemd reads a leading <N> as the line's priority (sd-daemon(3)).
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
NUMBERS = logging.getLevelNamesMapping()

_threshold = logging.INFO  # loggers keep what they were made with; this may change


class _Unfailing:
    """A stream whose faults are nobody's: a disk that is full of logs must not cost a stored mail its 250."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # there is no place left to say it
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def set_up(level: str, form: Literal["auto", "json", "text"]) -> None:
    """Send our lines, and warnings of libraries, to standard error. `auto`: text on a terminal, else JSON."""
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        _filter,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if text
        else [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
            _prioritize,
        ]
    )
    set_level(level)
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Unfailing(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="<4>%(name)s: %(message)s", force=True)


def set_level(level: str) -> None:
    """Change the least that is logged."""
    global _threshold  # noqa: PLW0603 - one for the process, as the loggers are
    _threshold = NUMBERS[level.upper()]


def _filter(_logger: WrappedLogger, _name: str, line: EventDict) -> EventDict:
    if NUMBERS[line["level"].upper()] < _threshold:
        raise structlog.DropEvent
    return line


def _prioritize(_logger: WrappedLogger, name: str, line: EventDict | str) -> str:
    return f"<{PRIORITIES.get(name, 6)}>{line}"


def trace(error: BaseException) -> str:
    """Where an error came from, without its text, which may quote a mail."""
    return "".join(traceback.format_tb(error.__traceback__))
