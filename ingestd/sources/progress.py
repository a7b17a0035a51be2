"""Show how an import goes: a line that changes on a terminal, else a log line every few seconds."""

import sys
import time
from collections.abc import Callable

import structlog

from ingestd.sources.load import Summary

log = structlog.get_logger()

SECONDS = 5.0  # between lines of a log
BLINK = 0.2  # between changes on a terminal


def teller() -> Callable[[Summary], None]:
    """What an import may tell of each batch."""
    meter = Meter(time.monotonic())
    terminal = sys.stderr.isatty()
    last = time.monotonic()

    def show(summary: Summary) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < (BLINK if terminal else SECONDS):
            return
        last = now
        rate, left = meter.look(summary, now)
        if terminal:
            sys.stderr.write(f"\r{line(summary, rate, left)}\x1b[K")
            sys.stderr.flush()
        else:
            log.info(
                "import_progress",
                source=summary.where,
                read=summary.read,
                new=summary.new,
                repeats=summary.repeats,
                odd=odd(summary),
                rate=round(rate, 1),
                seconds_left=None if left is None else round(left),
            )

    return show


def clear() -> None:
    """Take the line away, where there is one."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


class Meter:
    """Mails a second since the start, and the time that the source under way still takes."""

    def __init__(self, began: float) -> None:
        """`began`: the time, by the clock that `look` is given."""
        self._began = began
        self._source = ""
        self._since = began  # of the source
        self._from: float | None = None  # its share that was done when we first looked

    def look(self, summary: Summary, now: float) -> tuple[float, float | None]:
        """(mails a second, seconds left or None where the whole is not known)."""
        rate = summary.read / max(now - self._began, 0.001)
        if summary.where != self._source:
            self._source, self._since, self._from = summary.where, now, summary.done
            return rate, None
        if summary.done is None or self._from is None or summary.done <= self._from:
            return rate, None
        return rate, (now - self._since) * (1 - summary.done) / (summary.done - self._from)


def odd(summary: Summary) -> int:
    """The mails that a person may want to look at."""
    return summary.quarantined + summary.refused + summary.too_big


def line(summary: Summary, rate: float, left: float | None) -> str:
    """One line for a terminal."""
    parts = [f"{summary.read:,} mails", f"{rate:,.0f}/s"]
    if summary.done is not None:
        parts.append(f"{summary.done:.0%}")
    if left is not None:
        minutes, seconds = divmod(round(left), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    parts += [f"{summary.repeats:,} repeats", f"{odd(summary):,} odd"]
    return ", ".join(parts)
