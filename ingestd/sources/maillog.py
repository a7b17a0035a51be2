"""Read a mail server's log: which mails it handed to us, and what it heard (Postfix's syslog lines, Exim's mainlog)."""

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

from ingestd.errors import InputError

# What receive.session answers; both servers log it. It names the rows, one for each list.
_OURS = re.compile(r"250 2\.0\.0 Stored(?: as (?:message (?P<rows>\d+(?:,\d+)*)|quarantined))?")

# Postfix: `host postfix/lmtp[1]: 4XYZ: to=<a@b>, ..., status=sent (250 2.0.0 Stored)`.
_POSTFIX = re.compile(r"postfix[^ ]*/(?P<program>\w+)\[\d+\]: (?P<id>[0-9A-Za-z]{5,}): (?P<rest>.*)")
_POSTFIX_TO = re.compile(r"to=<(?P<to>[^>]*)>.* status=(?P<status>\w+)")
_POSTFIX_ID = re.compile(r"message-id=<?(?P<message_id>[^>\s]*)>?")

# Exim: `2026-11-25 03:46:08 1xW3xQ-0006Fw-2y => a@b R=router T=transport ... C="250 2.0.0 Stored"`, perhaps with [pid].
_EXIM = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})?(?: \[\d+\])? "
    r"(?P<id>\w{6}-\w{6,11}-\w{2,4}) (?P<mark>\S+) (?P<rest>.*)"
)
_EXIM_TO = re.compile(r"(?:[^<\s]+ )?<?(?P<to>[^\s<>:]+@[^\s<>:]+)")
_EXIM_ID = re.compile(r"\bid=(?P<message_id>\S+)")
_EXIM_STATUS = {"=>": "sent", "->": "sent", "==": "deferred", "**": "bounced"}

SNIFFED = 200  # lines of a file that decide whether it is a log


@dataclass(slots=True)
class Handover:
    """One mail in the log that was, or was to be, handed to us."""

    queue_id: str
    message_id: str | None  # as logged; a server may cut a long one
    status: str  # of the last attempt: sent, deferred, bounced or what else the server calls it
    ours: bool = False  # our own 250 is in the log
    rows: tuple[int, ...] = ()  # which it named: ids of messages


def is_log(path: Path) -> bool:
    """Whether the file looks like a mail server's log. InputError when it cannot be read."""
    if not path.is_file():
        return False
    with _faults_named(path), _open(path) as lines:
        for _, line in zip(range(SNIFFED), lines, strict=False):
            if line.startswith("From "):
                return False
            if _POSTFIX.search(line) or _EXIM.match(line):
                return True
    return False


@contextmanager
def _faults_named(path: Path) -> Iterator[None]:
    """InputError, one line, for a file that cannot be read or is cut off."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path}: damaged: {error}") from error


def read(path: Path, recipients: Iterable[str] = ()) -> list[Handover]:
    """The mails that our 250 was logged for, or that are for these recipients (patterns with *), in order of the log.

    InputError when the file cannot be read.
    """
    wanted = [pattern.lower() for pattern in recipients]
    message_ids: dict[str, str] = {}
    found: dict[tuple[str, str | None], Handover] = {}  # queue ids come again after a while
    with _faults_named(path):
        for id_, message_id, attempt in _lines(path):
            if message_id is not None:
                message_ids[id_] = message_id
            if attempt is None:
                continue
            to, status, ours, rows = attempt
            if ours or any(fnmatchcase(to.lower(), pattern) for pattern in wanted):
                known = message_ids.get(id_)
                handover = found.setdefault((id_, known), Handover(id_, known, status))
                handover.status, handover.ours, handover.rows = status, handover.ours or ours, rows or handover.rows
    return list(found.values())


_Attempt = tuple[str, str, bool, tuple[int, ...]]  # recipient, outcome, whether it was our 250, the rows it named


def _lines(path: Path) -> Iterator[tuple[str, str | None, _Attempt | None]]:
    """Each line that says something of a mail: (queue id, Message-ID, attempt to deliver it)."""
    with _open(path) as lines:
        for line in lines:
            if match := _POSTFIX.search(line):
                said = _POSTFIX_ID.match(match["rest"]) if match["program"] == "cleanup" else None
                tried = _POSTFIX_TO.match(match["rest"])
                status = tried["status"] if tried else ""
            elif match := _EXIM.match(line):
                said = _EXIM_ID.search(match["rest"]) if match["mark"] == "<=" else None
                tried = _EXIM_TO.match(match["rest"]) if match["mark"] in _EXIM_STATUS else None
                status = _EXIM_STATUS.get(match["mark"], "")
            else:
                continue
            attempt = _attempt(tried["to"], status, line) if tried else None
            yield match["id"], said["message_id"] if said else None, attempt


def _attempt(to: str, status: str, line: str) -> _Attempt:
    reply = _OURS.search(line)
    rows = reply["rows"] if reply else None
    return to, status, reply is not None, tuple(map(int, rows.split(","))) if rows else ()


def _open(path: Path) -> IO[str]:
    """The lines of a log, also of a compressed one."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="replace")
    return path.open(encoding="utf-8", errors="replace")
