"""Real mail with judges: people who read it, Patchwork, and git. Skipped without the corpora."""

import hashlib
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingestd.mail import header, mime, text
from ingestd.mail.parse import parse
from ingestd.mail.values import Kind, Mail

from . import corpus

# Judged as `other`, though they say Re:, quote, and name the mail they answer, just as other mails that are judged
# `reply` do (openbmc/009243, openbmc/000819): we call them replies.
ARGUED = {"openbmc/009001.eml", "openbmc/008755.eml", "openbmc/007805.eml"}
JUDGED = {"bot": "notice", "bot-reply": "notice", "bounce": "notice", "spam": "other"}


def _judge(case: dict[str, str], mail: Mail) -> list[str]:
    """What differs between a judged line and our reading."""
    number, total = ("" if value is None else str(value) for value in (mail.subject.number, mail.subject.total))
    author = case["author"].strip()
    authors = {str(mail.author), f"<{mail.author.email}>", f"<{mail.author.email.partition('@')[0]}>"}
    found = {
        "kind": (JUDGED.get(case["kind"], case["kind"]), str(mail.kind)),
        "name": (case["name"], mail.subject.title),
        "version": (case["version"], str(mail.subject.version) if case["version"] else ""),
        "number": (case["number"], number),
        "total": (case["total"], total),
    }
    wrong = [f"{key}: {expected!r}, not {ours!r}" for key, (expected, ours) in found.items() if expected != ours]
    if author and author not in authors:
        wrong.append(f"author: {author}, not {mail.author}")
    if case["has_diff"].startswith("yes") and mail.diff is None:
        wrong.append("diff missed")
    if case["has_diff"] == "no" and mail.diff is not None:
        wrong.append("no diff there")
    if mail.diff is not None and case["files_touched"] and "attachment" not in case["files_touched"]:
        paths = sorted(file.path for file in mail.files)
        if paths != sorted(case["files_touched"].split()):
            wrong.append(f"files: {paths}")
    return wrong


def _location(file: str) -> Path:
    folder, _, name = file.partition("/")
    return corpus.SHARED / "corpus" / ("hard-cases/openbmc" if folder == "openbmc" else folder) / name


def test_hard_cases_come_out_as_judged() -> None:
    wrong = {}
    for case in corpus.hard_cases():
        if case["file"].startswith("linux-aspeed/") or case["file"] in ARGUED:
            continue
        found = _judge(case, parse(corpus.messages(_location(case["file"]))[0]))
        if found:
            wrong[case["file"]] = found
    assert wrong == {}


@pytest.mark.long
def test_hard_cases_of_the_archive_come_out_as_judged() -> None:
    cases = {
        case["file"].rpartition("/")[2]: case
        for case in corpus.hard_cases()
        if case["file"].startswith("linux-aspeed/")
    }
    found = {name: _judge(cases[name], parse(raw)) for name, raw in corpus.aspeed() if name in cases}
    assert len(found) == len(cases)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


# Patchwork. Each class is a rule on the mail; docs/patchwork-differences.md says why ours is right.


def _texts(raw: bytes) -> text.Texts:
    headers, body, _ = header.read(raw)
    return text.gather(mime.leaves(headers, body)[0])


def _crlf(_: Mail, raw: bytes) -> bool:
    headers, body, _defects = header.read(raw)
    return any(b"\r\n" in part.data for part in mime.leaves(headers, body)[0] if part.type.startswith("text/"))


def _separator(mail: Mail, _: bytes) -> bool:
    return bool(re.search(r"^(?:-- |_+)$", mail.content or "", re.MULTILINE))


def _prose(mail: Mail, _: bytes) -> bool:
    return bool(re.search(r"^(?:diff|Index:) ", mail.content or "", re.MULTILINE))


def _flowed(mail: Mail, raw: bytes) -> bool:
    return mail.diff is not None and any(flowed for flowed, _ in _texts(raw).flowed)


def _munged(mail: Mail, _: bytes) -> bool:
    return mail.munged and mail.submitter != mail.sender


CLASSES: dict[str, tuple[tuple[str, ...], Callable[[Mail, bytes], bool]]] = {
    "CRLF behind base64 or quoted-printable": (("content", "diff"), _crlf),
    "a signature separator with much behind it": (("content",), _separator),
    "prose that begins like a diff": (("content", "diff", "hash"), _prose),
    "format=flowed undone": (("content", "diff", "hash"), _flowed),
    "a relay's From undone": (("email",), _munged),
}


def _sha(value: str | None) -> str | None:
    return hashlib.sha256(value.encode()).hexdigest()[:16] if value else None


def _compare(row: dict[str, Any], mail: Mail) -> Iterator[str]:
    """The fields in which Patchwork's answer and ours differ."""
    if row["msgid"].strip("<>") != mail.message_id:
        yield "msgid"
    if row["kind"] in ("ignored", "duplicate"):
        return
    if mail.date is None or row["date"] != mail.date.strftime("%Y-%m-%dT%H:%M:%S"):
        yield "date"
    if row["email"].lower() != mail.submitter.email.lower():
        yield "email"
    if row["content_sha"] != _sha(mail.content):
        yield "content"
    if row["kind"].endswith("-comment"):
        return
    if row["name"] != mail.subject.name:
        yield "name"
    if tuple(row["prefixes"]) != mail.subject.prefixes:
        yield "prefixes"
    if row.get("hash") != mail.hash:
        yield "hash"
    if row.get("diff_sha") != _sha(mail.diff):
        yield "diff"
    if row.get("pull_url") != mail.pull_url:
        yield "pull_url"


def _kinds_agree(row: dict[str, Any], mail: Mail) -> bool:
    """Patchwork's kinds in ours. What it ignores or comments on with may be more to us, never what it lists."""
    if row["kind"] == "patch":
        return mail.kind is Kind.PATCH or (mail.kind is Kind.COVER and mail.subject.number == 0)
    if row["kind"] == "pull-request":
        return mail.kind is Kind.PULL or mail.subject.number == 0
    if row["kind"] == "cover":
        return mail.kind is Kind.COVER
    if row["kind"].endswith("-comment"):
        return mail.kind in (Kind.REPLY, Kind.NOTICE) or (mail.kind is Kind.COVER and not mail.subject.reply)
    return True


def _against_patchwork(mails: Iterator[tuple[str, bytes]]) -> Counter[str]:
    """Compare; fails on a difference outside the classes. Counts the classes met."""
    rows = corpus.patchwork()
    met: Counter[str] = Counter()
    for name, raw in mails:
        mail, row = parse(raw), rows[name]
        assert _kinds_agree(row, mail), (name, row["kind"], mail.kind)
        for differs in _compare(row, mail):
            found = next((key for key, (names, rule) in CLASSES.items() if differs in names and rule(mail, raw)), None)
            assert found is not None, (name, differs)
            met[found] += 1
    return met


def test_patchwork_reads_a_sample_as_we_do() -> None:
    _against_patchwork(corpus.aspeed(1200))


@pytest.mark.long
def test_patchwork_reads_the_archive_as_we_do() -> None:
    assert _against_patchwork(corpus.aspeed()) == {
        "CRLF behind base64 or quoted-printable": 36,
        "a signature separator with much behind it": 15,
        "prose that begins like a diff": 3,
        "format=flowed undone": 3,
        "a relay's From undone": 50,
    }


# git


def _git(arguments: list[str], data: bytes, cwd: Path) -> tuple[int, bytes]:
    done = subprocess.run(["git", *arguments], input=data, capture_output=True, check=False, cwd=cwd)
    return done.returncode, done.stdout


def _lines(value: str) -> list[str]:
    """Lines as `git stripspace` leaves them."""
    stripped = [line.rstrip() for line in value.strip().split("\n")]
    return [line for line, before in zip(stripped, ["x", *stripped], strict=False) if line or before]


def _against_git(raw: bytes, mail: Mail, cwd: Path) -> list[str] | None:
    """Where `git mailinfo` and we differ: author, subject, message, diff; None where git reads nothing."""
    status, told = _git(["mailinfo", "-u", "msg", "patch"], raw, cwd)
    if status:
        return None
    info: dict[str, str] = {}
    for line in told.decode("utf-8", "replace").splitlines():
        info.setdefault(line.partition(": ")[0], line.partition(": ")[2])
    wrong = []
    if info.get("Email", "").lower() != mail.author.email.lower() and not mail.munged:
        wrong.append("author")
    if info.get("Author") not in (mail.author.name, mail.author.email) and not mail.munged:
        wrong.append("name")
    if " ".join(info.get("Subject", "").split()) != mail.subject.title:
        wrong.append("subject")
    if _lines((cwd / "msg").read_bytes().decode("utf-8", "replace")) != _lines(mail.parts.message):
        wrong.append("message")
    diff = (mail.diff or "").encode()
    if _git(["apply", "--numstat"], (cwd / "patch").read_bytes(), cwd) != _git(["apply", "--numstat"], diff, cwd):
        wrong.append("diff")
    found = _git(["patch-id", "--stable"], diff, cwd)[1].split()
    if (found[0].decode() if found else None) != mail.patch_id:
        wrong.append("patch id")
    return wrong


def _judge_by_git(mails: Iterator[tuple[str, bytes]], cwd: Path) -> tuple[int, dict[str, list[str]]]:
    seen = 0
    wrong = {}
    for name, raw in mails:
        mail = parse(raw)
        if mail.kind is not Kind.PATCH or mail.diff is None:
            continue
        found = _against_git(raw, mail, cwd)
        if found is not None:
            seen += 1
            if found:
                wrong[name] = found
    return seen, wrong


# Where ours is right: an in-body header below a remark or a pasted file (3), a message line of dashes and a word (2),
# a Latin-1 letter that git leaves as it is (1).
GIT_READS_OTHERWISE = {
    "001579.eml": ["message"],
    "001588.eml": ["message"],
    "005072.eml": ["message"],
    "015043.eml": ["name", "message"],
    "015044.eml": ["name", "message"],
    "016410.eml": ["name", "message"],
}


def test_git_reads_a_sample_as_we_do(tmp_path: Path) -> None:
    _, wrong = _judge_by_git(corpus.aspeed(250), tmp_path)
    assert wrong == {name: found for name, found in GIT_READS_OTHERWISE.items() if name in wrong}


def test_git_reads_qemu_mail_as_we_do(tmp_path: Path) -> None:
    folder = corpus.need("corpus", "qemu-devel")
    mails = ((path.name, path.read_bytes()) for path in sorted(folder.glob("*.eml")))
    seen, wrong = _judge_by_git(mails, tmp_path)
    assert seen > 60
    assert wrong == {"000.eml": ["author", "name"]}  # a munged in-body From that git believes


@pytest.mark.long
def test_git_reads_the_archive_as_we_do(tmp_path: Path) -> None:
    seen, wrong = _judge_by_git(corpus.aspeed(), tmp_path)
    assert seen > 6_600
    assert wrong == GIT_READS_OTHERWISE
