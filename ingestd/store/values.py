"""What the store is handed and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ingestd.mail import Mail


@dataclass(frozen=True, slots=True)
class Envelope:
    """How a mail came: the part of a delivery that is not in its bytes."""

    received_at: datetime  # UTC, by our clock; for display only
    envelope_from: str | None = None  # without brackets; "" is the null sender
    peer: str | None = None  # address of the mail server, or where an import read the mail
    entry: int | None = None  # id in quarantine, of a mail that is replayed from there


@dataclass(frozen=True, slots=True)
class Arrival:
    """One mail, read, on its way into one or more lists."""

    raw: bytes  # as the peer sent it, less dot-stuffing
    raw_sha256: bytes
    mail: Mail
    lists: Mapping[str, tuple[str, ...]]  # list id -> the recipients that stand for it
    envelope: Envelope
    authentication: tuple[str, ...] = ()  # what trusted hosts found out about the sender


@dataclass(frozen=True, slots=True)
class Poison:
    """A mail that our code or the server's failed on: kept raw, with the error."""

    raw: bytes
    raw_sha256: bytes
    error: str
    recipients: tuple[str, ...]
    lists: tuple[str, ...]
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of an arrival on one list."""

    list_id: str
    message: int | None  # id; None: it was forgotten, and its copies stay out
    repeat: bool  # this mail was there already, or was forgotten
