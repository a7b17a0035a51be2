"""What is said of mails and series beside that they are there: the events that Patchwork's readers wait for."""

from collections import defaultdict
from collections.abc import Iterable

from ingestd.mail import Mail
from ingestd.mail.values import Kind
from ingestd.series.values import Fact
from ingestd.store.events import Event
from ingestd.store.heads import MemberRow


def created(mail: Mail, list_: int, message: int) -> list[Event]:
    """What is said of a new mail. A cover that has a diff, or asks to pull, is a patch to the API."""
    said = ["message-created"]
    if mail.kind in (Kind.PATCH, Kind.PULL) or (mail.kind is Kind.COVER and (mail.diff or mail.pull_url)):
        said.append("patch-created")
    elif mail.kind is Kind.COVER:
        said.append("cover-created")
    return [Event(category, list=list_, message=message) for category in said]


def of_comment(subject: Fact, *, pulls: bool) -> str | None:
    """What an answer to a mail is called, None where it is a comment on nothing. `pulls`: the mail asks to pull."""
    if subject.kind in (Kind.PATCH, Kind.PULL) or (subject.kind == Kind.COVER and (subject.has_diff or pulls)):
        return "patch-comment-created"
    return "cover-comment-created" if subject.kind == Kind.COVER else None


def completed(list_: int, series: int, before: Iterable[MemberRow], now: Iterable[MemberRow]) -> list[Event]:
    """Which patches of a series have all patches before them now, and had not."""
    reached = set(_reached(before))
    return [
        Event("patch-completed", list=list_, message=message, series=series)
        for message in _reached(now)
        if message not in reached
    ]


def _reached(members: Iterable[MemberRow]) -> list[int]:
    """The patches of a series, in order, up to the first number that nothing was posted for."""
    slots: dict[int, list[int]] = defaultdict(list)
    for number, message, _, _ in sorted(members):
        if number > 0:
            slots[number].append(message)
    found: list[int] = []
    for expected, number in enumerate(sorted(slots), start=1):
        if number != expected:
            break
        found += slots[number]
    return found
