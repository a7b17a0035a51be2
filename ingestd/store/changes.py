"""What reading and grouping anew changed, field by field, for people who want to know before or after."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

LONGEST_VALUE = 60  # characters of a value that are shown
MOST_VALUES = 4  # of a set

# Columns that are too long to show, or say nothing to a person.
UNSHOWN = frozenset(("headers", "content", "diff", "files", "trailers", "links", "references"))


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """A mail or a series as the value of a field: the same by its id, whatever its key is meanwhile."""

    id: int
    key: str = field(compare=False)
    series: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A mail in a slot of a series; `role` where it is not simply posted there."""

    number: int
    mail: Ref
    role: str = ""


@dataclass(slots=True)
class Change:
    """One mail or series: what it is called, and its fields, old and new. `born` and `gone` may both be true."""

    list: int
    key: str
    born: bool = False
    gone: str | None = None  # why it is there no more
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def add(self, name: str, old: object, new: object) -> None:
        """Note a field; noted again, it is the first old and the last new value that count."""
        if name in self.fields:
            old = self.fields[name][0]
        self.fields[name] = (old, new)

    def follow(self, later: "Change") -> None:
        """Take over what happened to the same mail or series later."""
        self.born |= later.born
        self.gone = later.gone or self.gone
        for name, (old, new) in later.fields.items():
            self.add(name, old, new)

    @property
    def name(self) -> str:
        """What it was called before; what is new, as it is called now."""
        return str(self.fields["key"][1]) if self.born and "key" in self.fields else self.key

    @property
    def real(self) -> bool:
        """Whether there is a difference between before and after."""
        if self.born or self.gone is not None:
            return not (self.born and self.gone is not None)
        return any(old != new for old, new in self.fields.values())


@dataclass(slots=True)
class Changes:
    """What a transaction changed, and what else hangs on it."""

    mails: dict[int, Change] = field(default_factory=dict)
    series: dict[int, Change] = field(default_factory=dict)
    # (list or -1, name): whatever changes with one of these in common may look otherwise when it changes together.
    ties: set[tuple[int, str]] = field(default_factory=set)

    def mail(self, id_: int, list_: int, key: str) -> Change:
        """The change of a mail, to be added to."""
        return self.mails.setdefault(id_, Change(list_, key))

    def one_series(self, id_: int, list_: int, key: str) -> Change:
        """The change of a series, to be added to."""
        return self.series.setdefault(id_, Change(list_, key))

    def tie(self, list_: int, names: Iterable[str]) -> None:
        """Note what else hangs on a change."""
        self.ties.update((list_, name) for name in names)

    def follow(self, later: "Changes") -> None:
        """Take over what was changed later."""
        for mine, theirs in ((self.mails, later.mails), (self.series, later.series)):
            for id_, change in theirs.items():
                if id_ in mine:
                    mine[id_].follow(change)
                else:
                    mine[id_] = change
        self.ties |= later.ties

    def prune(self) -> None:
        """Forget what turned out to be no change."""
        for changed in (self.mails, self.series):
            for id_, change in list(changed.items()):
                change.fields = {name: values for name, values in change.fields.items() if values[0] != values[1]}
                if not change.real:
                    del changed[id_]

    def lines(self) -> Iterator[tuple[str, int, str, str]]:
        """(mail or series, list, key, what happened) of all that is different now, by list, mails first, by key."""
        for what, changed in (("mail", self.mails), ("series", self.series)):
            for change in sorted(changed.values(), key=lambda one: (one.list, one.name)):
                if change.real:
                    yield what, change.list, change.name, self._said(change)

    def _said(self, change: Change) -> str:
        if change.gone is not None or change.born:
            return change.gone or "new"
        fields = sorted(change.fields.items())
        return "; ".join(self._field(name, *values) for name, values in fields if values[0] != values[1])

    def _field(self, name: str, old: object, new: object) -> str:
        if name in UNSHOWN:
            return f"{name} changed"
        if isinstance(old, frozenset) and isinstance(new, frozenset):
            parts = [*(f"+{self._value(one, new=True)}" for one in sorted(new - old))]
            parts += [f"-{self._value(one, new=False)}" for one in sorted(old - new)]
            more = len(parts) - MOST_VALUES
            return f"{name} {' '.join(parts[:MOST_VALUES])}{f' and {more} more' if more > 0 else ''}"
        return f"{name} {self._value(old, new=False)} -> {self._value(new, new=True)}"

    def _value(self, value: object, *, new: bool) -> str:
        """A value as people read it, short. Mails and series go by the key that they have after all changes, or had."""
        if isinstance(value, Member):
            return f"{value.number}:{self._value(value.mail, new=new)}{f' ({value.role})' if value.role else ''}"
        if isinstance(value, Ref):
            change = (self.series if value.series else self.mails).get(value.id)
            if change is None:
                return value.key
            return str(change.fields["key"][1]) if new and "key" in change.fields else change.name
        text = " ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)
        return (text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}...") or "-"
