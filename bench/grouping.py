#!/usr/bin/env python3
"""Score grouping against the right series of a whole list, beside Patchwork's answers and three naive rules.

usage: ./dev bench grouping [--misses] [--corpus DIR]

DIR holds linux-aspeed.tar.xz (mails), linux-aspeed.truth.jsonl.xz and linux-aspeed.patchwork.jsonl.xz; default:
shared/corpus beside the checkout. A series counts as right when its members with their numbers, version, total and
cover are exactly those of the truth file. --misses lists what is not, with the verdict of
bench/grouping.verdicts.json where there is one.
"""

import argparse
import json
import lzma
import sys
import tarfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from ingestd.mail.parse import parse  # noqa: E402 - runs from a checkout that is not installed
from ingestd.series import fact, group, link, revise  # noqa: E402
from ingestd.series.values import POSTED, Fact, Series  # noqa: E402

CONFIDENCES = ("high", "medium", "low")


@dataclass(frozen=True, slots=True)
class Answer:
    """One series as a rule sees it."""

    posted: Mapping[int, frozenset[str]]
    version: int
    total: int
    cover: str | None
    is_pull: bool = False


Answers = dict[str, Answer]  # Message-ID of any member or cover -> the series it is in


def main() -> None:
    """Read, group, score, print."""
    arguments = _arguments()
    corpus: Path = arguments.corpus
    started = time.perf_counter()
    facts = list(_facts(corpus / "linux-aspeed.tar.xz"))
    parsed = time.perf_counter()
    threads = components(facts)
    linked = time.perf_counter()
    series = [one for thread in threads for one in group.group(thread).series]
    grouped = time.perf_counter()
    neighbours = _neighbours(series)
    revisions = [revise.revise(one, neighbours[one.key]) for one in series]
    revised = time.perf_counter()
    print(f"{len(facts)} mails, {len(threads)} threads (largest {max(map(len, threads))}), {len(series)} series")
    print(
        f"parse {parsed - started:.1f} s, link {linked - parsed:.2f} s, group {grouped - linked:.2f} s, "
        f"revise {revised - grouped:.2f} s"
    )
    evidence = Counter(one.evidence for one in revisions if one.evidence)
    print("supersedes by", ", ".join(f"{name} {count}" for name, count in evidence.most_common()))
    print(f"partial re-rolls that carry patches over: {sum(bool(one.carried) for one in revisions)}\n")

    truth = list(_lines(corpus / "linux-aspeed.truth.jsonl.xz"))
    verdicts = json.loads((HERE / "grouping.verdicts.json").read_text())
    rules: dict[str, Answers] = {
        "ingestd": _ours(series),
        "Patchwork 644cef7": _patchworks(_lines(corpus / "linux-aspeed.patchwork.jsonl.xz")),
        "(a) same In-Reply-To": _naive(facts, _parent),
        "(b) same first Reference": _naive(facts, _root),
        "(c) same shape in 10 min": _naive(_numbered_by_time(facts), _shape),
    }
    totals = Counter(one["confidence"] for one in truth)
    heads = "".join(f"{name + ' of ' + str(totals[name]):>20}" for name in CONFIDENCES)
    print(f"{'exact series':26}{heads}")
    for name, answers in rules.items():
        right = Counter(one["confidence"] for one in truth if not _wrong(one, answers))
        print(f"{name:26}" + "".join(f"{_share(right[c], totals[c]):>20}" for c in CONFIDENCES))
    misses = [(one, wrong) for one in truth if (wrong := _wrong(one, rules["ingestd"]))]
    excused = Counter(one["confidence"] for one, _ in misses if verdicts.get(one["key"], {}).get("right") == "ingestd")
    settled = {
        name: totals[name] - sum(one["confidence"] == name for one, _ in misses) + excused[name] for name in totals
    }
    print(f"{'ingestd, with verdicts':26}" + "".join(f"{_share(settled[c], totals[c]):>20}" for c in CONFIDENCES))
    if arguments.misses:
        _print_misses(misses, verdicts)


def components(facts: Iterable[Fact]) -> list[list[Fact]]:
    """The connected components of link keys."""
    above: dict[str, str] = {}

    def root(key: str) -> str:
        while above.setdefault(key, key) != key:
            above[key] = above[above[key]]
            key = above[key]
        return key

    keyed = [(one, sorted(link.keys(one))) for one in facts]
    for _, (first, *others) in keyed:
        for key in others:
            above[root(key)] = root(first)
    found: dict[str, list[Fact]] = defaultdict(list)
    for one, keys in keyed:
        found[root(keys[0])].append(one)
    return list(found.values())


# --- reading ---------------------------------------------------------------------------------------------------------


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--misses", action="store_true", help="list every series that is not exact")
    parser.add_argument("--corpus", type=Path, default=HERE.parent.parent / "shared" / "corpus")
    return parser.parse_args()


def _facts(archive: Path) -> Iterator[Fact]:
    with tarfile.open(archive) as files:
        for member in files:
            content = files.extractfile(member) if member.isfile() else None
            if content is not None:
                yield fact.of(parse(content.read()))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _neighbours(series: Iterable[Series]) -> dict[str, list[Series]]:
    holders: dict[str, list[Series]] = defaultdict(list)
    for one in series:
        for key in one.revision_keys:
            holders[key].append(one)
    return {one.key: [other for key in one.revision_keys for other in holders[key]] for one in series}


# --- what each rule says ---------------------------------------------------------------------------------------------


def _ours(series: Iterable[Series]) -> Answers:
    answers: Answers = {}
    for one in series:
        slots: dict[int, set[str]] = defaultdict(set)
        for member in one.members:
            # The truth file has what was sent as the posting, not what was laid over it later.
            if member.role == POSTED and member.number:
                slots[member.number].add(member.key)
        posted = {number: frozenset(keys) for number, keys in slots.items()}
        answer = Answer(posted, one.version, one.total, one.cover, one.kind == "pull")
        keys = {member.key for member in one.members} | ({one.cover} if one.cover else set())
        answers |= dict.fromkeys(keys, answer)
    return answers


def _patchworks(rows: Iterable[Mapping[str, Any]]) -> Answers:
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    answers: Answers = {}
    for row in rows:
        if row["kind"] in ("patch", "cover", "pull-request"):
            groups[row.get("series") or row["msgid"]].append(row)
    for members in groups.values():
        slots: dict[int, set[str]] = defaultdict(set)
        cover = None
        for row in members:
            if row["kind"] == "patch":
                slots[row.get("number") or 1].add(row["msgid"].strip("<>"))
            else:
                cover = row["msgid"].strip("<>")
        first = members[0]
        posted = {number: frozenset(ids) for number, ids in slots.items()}
        answer = Answer(
            posted,
            first.get("version") or 1,
            first.get("total") or 1,
            cover,
            any(row.get("pull_url") for row in members),
        )
        answers |= {row["msgid"].strip("<>"): answer for row in members}
    return answers


def _naive(facts: Iterable[Fact], place: Callable[[Fact], object]) -> Answers:
    """Numbered mails grouped by one property; singles alone."""
    groups: dict[object, list[Fact]] = defaultdict(list)
    for one in facts:
        if link.is_posted(one):
            groups[place(one) if link.is_numbered(one) else one.message_id].append(one)
    answers: Answers = {}
    for members in groups.values():
        slots: dict[int, set[str]] = defaultdict(set)
        cover = None
        for one in members:
            if one.number == 0 or (one.number is None and one.kind != "patch"):
                cover = one.message_id
            else:
                slots[one.number or 1].add(one.message_id)
        posted = {number: frozenset(ids) for number, ids in slots.items()}
        first = members[0]
        answer = Answer(posted, first.version, first.total or 1, cover, any(link.is_pull(one) for one in members))
        answers |= {one.message_id: answer for one in members}
    return answers


def _parent(mail: Fact) -> str:
    return mail.in_reply_to[0] if mail.in_reply_to and mail.number else mail.message_id


def _root(mail: Fact) -> str:
    return next(iter((*mail.references, *mail.in_reply_to))) if _parent(mail) != mail.message_id else mail.message_id


_windows: dict[str, int] = {}


def _numbered_by_time(facts: list[Fact]) -> list[Fact]:
    """Give each numbered mail the window it falls into: same shape, no more than 10 minutes after the one before."""
    last: dict[object, Any] = {}
    window = 0
    for one in sorted((one for one in facts if link.is_numbered(one) and one.date), key=lambda one: str(one.date)):
        shape = (one.sender_email.lower(), one.version, one.total, tuple(sorted(link.tree(one))))
        before = last.get(shape)
        if before is None or one.date is None or one.date - before[0] > timedelta(minutes=10):
            window += 1
            last[shape] = (one.date, window)
        else:
            last[shape] = (one.date, before[1])
        _windows[one.message_id] = last[shape][1]
    return facts


def _shape(mail: Fact) -> object:
    return _windows.get(mail.message_id, mail.message_id)


# --- the score -------------------------------------------------------------------------------------------------------


def _wrong(truth: Mapping[str, Any], answers: Answers) -> list[str]:
    """What is not as the truth file has it."""
    answer = answers.get(truth["key"])
    if answer is None:
        return ["absent"]
    if truth["kind"] == "pull":
        return [] if answer.is_pull and answer.cover == truth["key"] else ["pull"]
    wanted = {int(number): frozenset((one, *truth["dups"].get(number, ()))) for number, one in truth["patches"].items()}
    checks = {
        "members": dict(answer.posted) == wanted,
        "version": str(answer.version) == truth["version"],
        "total": answer.total == truth["total"],
        "cover": answer.cover == truth["cover"],
    }
    return [name for name, right in checks.items() if not right]


def _share(right: int, total: int) -> str:
    return f"{right} ({100 * right / total:.2f} %)"


def _print_misses(misses: Iterable[tuple[Mapping[str, Any], list[str]]], verdicts: Mapping[str, Any]) -> None:
    for truth, wrong in misses:
        print(f"\n{truth['confidence']}: {truth['key']}: {', '.join(wrong)}; {truth['why']}")
        print("    files", " ".join(f"{number}={name}" for number, name in list(truth["files"].items())[:12]))
        verdict = verdicts.get(truth["key"])
        print(f"    {verdict['right']} is right: {verdict['why']}" if verdict else "    no verdict")


if __name__ == "__main__":
    main()
