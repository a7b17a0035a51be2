"""Made-up threads that read like a table, and answers that read like a line."""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ingestd.series import group, link, revise
from ingestd.series.values import Fact, Revision, Series, Thread

_LINE = re.compile(
    r"(?P<id>\S+)\s+(?P<who>\S+)\s+(?:(?P<day>\d+)d)?(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
    r"(?P<notes>(?:\s+[>~+!]\S+)*)\s+(?P<subject>\S.*)"
)
_TAG = re.compile(r"\s*\[([^\]]*)\]\s*")
_START = datetime(2026, 4, 1, tzinfo=UTC)


def _clock(seconds: int) -> str:
    return f"{seconds // 86400}d{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _threaded(subject: str, *, apart: int = 1, below: Callable[[int], str] = lambda _: ">p0") -> Callable[[int], str]:
    """Tables of `count` mails with the subject of each made from N (its place) and M (the last place)."""

    def table(count: int) -> str:
        return "\n".join(
            f"p{n} ann {_clock(n * apart)} {below(n) if n else ''}"
            f" {subject.replace('N', str(n)).replace('M', str(count - 1))}"
            for n in range(count)
        )

    return table


# Big threads: name -> a table of that many mails.
SHAPES: dict[str, Callable[[int], str]] = {
    "replies to replies": _threaded("Re: [PATCH] foo", below=lambda n: f">p{n - 1}"),
    "series below its cover": _threaded("[PATCH N/M] tN"),
    "series, each below the one before": _threaded("[PATCH N/M] tN", below=lambda n: f">p{n - 1}"),
    "series without threading": _threaded("[PATCH N/M] tN", below=lambda _: ""),
    "versions of one patch": _threaded("[PATCH vN] foo", apart=600, below=lambda n: f">p{n - 1}"),
    "versions of one patch of a series": _threaded("[PATCH vN 2/3] foo", apart=600, below=lambda n: f">p{n - 1}"),
    "one patch again and again": _threaded("[PATCH 1/3] foo", apart=600),
    "a hundred references each": _threaded(
        "[PATCH vN 1/3] tN",
        apart=600,
        below=lambda n: f">p{n - 1} " + " ".join(f"~p{above}" for above in range(max(0, n - 100), n)),
    ),
}


def mails(table: str) -> list[Fact]:
    """One fact a line: id, who, time ([DAYd]HH:MM[:SS]), notes, subject.

    Who: `ann`, or `ann/bob` for a patch of bob's that ann sends, or `bob@list` where the list is in From.
    Notes: `>id` In-Reply-To, `~id` a Reference, `+kind` the kind where the subject does not tell, `!text` what it
    says (the same text is the same patch), `+diff`, `+change=ID`, `+supersedes=ID`, `+former=ID`, `+belongs=ID` (a
    human's word; of a mail without `!`).
    """
    return [_mail(line.strip()) for line in table.strip().splitlines() if line.strip()]


def grouped(table: str) -> Thread:
    """The thread of a table, whose mails must be bound by their link keys; ids as the table has them."""
    facts = mails(table)
    assert len(components(facts)) == 1, "the table is not one thread"
    return bare(group.group(facts))


def lines(thread: Thread) -> list[str]:
    """The series of a thread, a line each."""
    return [line(series) for series in thread.series]


def line(series: Series) -> str:
    """`key kind vN of M: 0=cover 1=key 2=key,key 3=key<key` where < stands before the re-roll laid over."""
    slots = [] if series.cover is None else [f"0={series.cover}"]
    for number, keys in series.posted.items():
        laid = series.effective[number]
        under = [key for key in keys if key != laid]
        rerolls = {member.key for member in series.members if member.role == "reroll"}
        slots.append(f"{number}=" + (f"{','.join(under)}<{laid}" if laid in rerolls else ",".join(keys)))
    version = f"v{series.version}" + ("?" if series.version_inferred else "")
    return f"{series.key} {series.kind} {version} of {series.total}: {' '.join(slots)}".rstrip(": ")


def bare(thread: Thread) -> Thread:
    """A thread with ids as tables have them."""
    return Thread(
        keys={(_name(id_), content): _name(key) for (id_, content), key in thread.keys.items()},
        parents={_name(key): None if parent is None else _name(parent) for key, parent in thread.parents.items()},
        series=tuple(
            replace(
                series,
                key=_name(series.key),
                cover=None if series.cover is None else _name(series.cover),
                members=tuple(
                    replace(one, key=_name(one.key), posted_in=_name(one.posted_in)) for one in series.members
                ),
            )
            for series in thread.series
        ),
        reasons={_name(key): reason for key, reason in thread.reasons.items()},
    )


def components(facts: Collection[Fact]) -> list[list[Fact]]:
    """The connected components of link keys, as a store computes them."""
    above: dict[str, str] = {}

    def root(key: str) -> str:
        while above.setdefault(key, key) != key:
            key = above[key]
        return key

    for fact in facts:
        first, *others = sorted(link.keys(fact))
        for key in others:
            above[root(key)] = root(first)
    found: dict[str, list[Fact]] = {}
    for fact in facts:
        found.setdefault(root(min(link.keys(fact))), []).append(fact)
    return list(found.values())


def series_of(facts: Collection[Fact]) -> dict[str, Series]:
    """Key -> series, of all threads that the facts fall into."""
    return {series.key: series for part in components(facts) for series in group.group(part).series}


def revisions(series: Iterable[Series]) -> dict[str, Revision]:
    """Key -> revision, each from its direct neighbours alone."""
    series = list(series)
    holders: dict[str, list[Series]] = {}
    for one in series:
        for key in one.revision_keys:
            holders.setdefault(key, []).append(one)
    return {
        one.key: revise.revise(one, [other for key in one.revision_keys for other in holders[key]]) for one in series
    }


def chain(table: str) -> list[str]:
    """`key < older: evidence` for each series of a table that supersedes one."""
    revised = revisions(series_of(mails(table)).values())
    return [
        f"{_name(key)} < {_name(one.supersedes)}: {one.evidence}"
        for key, one in sorted(revised.items())
        if one.supersedes is not None
    ]


def _mail(row: str) -> Fact:
    match = _LINE.fullmatch(row)
    assert match is not None, f"not a mail: {row}"
    notes = match["notes"].split()
    subject = _subject(match["subject"])
    since = timedelta(
        days=int(match["day"] or 0),
        hours=int(match["hour"]),
        minutes=int(match["minute"]),
        seconds=int(match["second"] or 0),
    )
    who, at_list, _ = match["who"].partition("@list")
    sender, _, author = who.partition("/")
    said = next((note[1:] for note in notes if note[0] == "!"), match["id"])
    marks = [note[1:] for note in notes if note[0] == "+"]
    fact = replace(
        subject,
        message_id=_id(match["id"]),
        content_key=hashlib.sha256(said.encode()).hexdigest(),
        date=_START + since,
        author_name=(author or sender).title(),
        author_email=f"{author or sender}@example.org",
        sender_name=f"{sender.title()} via list" if at_list else sender.title(),
        sender_email="list@example.org" if at_list else f"{sender}@example.org",
        munged=bool(at_list),
        in_reply_to=tuple(_id(note[1:]) for note in notes if note[0] == ">"),
        references=tuple(_id(note[1:]) for note in notes if note[0] == "~"),
    )
    for mark in marks:
        fact = _marked(fact, mark)
    return replace(fact, patch_id=hashlib.sha1(said.encode()).hexdigest() if fact.has_diff else None)  # noqa: S324


def _id(name: str) -> str:
    """A Message-ID: real ones are not as short as names in a table."""
    return name if len(name) > 10 else f"{name}@m"


def _name(id_: str) -> str:
    return id_.replace("@m", "")


def _marked(fact: Fact, mark: str) -> Fact:
    name, _, value = mark.partition("=")
    match name:
        case "diff":
            return replace(fact, has_diff=True)
        case "change":
            return replace(fact, change_id=value)
        case "supersedes":
            return replace(fact, supersedes=(*fact.supersedes, _id(value)))
        case "belongs":
            return replace(fact, belongs=(_id(value), hashlib.sha256(value.encode()).hexdigest()))
        case "former":
            return replace(fact, former_ids=(*fact.former_ids, value))
        case "undated":
            return replace(fact, date=None)
        case _:
            return replace(fact, kind=name, has_diff=name == "patch")


def _subject(text: str) -> Fact:
    """A fact that knows its subject alone: only as much grammar as the tables need."""
    reply = text.startswith("Re: ")
    rest = text.removeprefix("Re: ")
    tags: list[str] = []
    while (match := _TAG.match(rest)) is not None:
        tags += match[1].split()
        rest = rest[match.end() :]
    number = total = reroll = None
    version, written = 1, False
    for tag in tags:
        if match := re.fullmatch(r"(\d+)/(\d+)", tag):
            number, total = int(match[1]), int(match[2])
        elif match := re.fullmatch(r"v(\d+)(?:\.(\d+))?", tag):
            version, written, reroll = int(match[1]), True, int(match[2]) if match[2] else None
    is_patch = bool(number) or (number is None and bool({"PATCH", "RFC"} & set(tags)))
    if reply:
        kind = "reply"
    elif "PULL" in tags and not number:
        kind = "pull"
    else:
        kind = "patch" if is_patch else "cover" if number == 0 else "other"
    return Fact(
        message_id="",
        content_key="",
        kind=kind,
        date=None,
        author_name="",
        author_email="",
        sender_email="",
        name=text,
        title=rest,
        tags=tuple(tags),
        number=number,
        total=total,
        version=version,
        version_written=written,
        reroll=reroll,
        resend="RESEND" in tags,
        reply=reply,
        in_reply_to=(),
        references=(),
        former_ids=(),
        has_diff=kind == "patch",
        patch_id=None,
        change_id=None,
        supersedes=(),
    )
