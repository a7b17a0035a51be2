"""What the dearest mails cost: thousands of the smallest things that a parser may stop at.

The work is counted in Python's instructions, which are the same on every machine. What runs in C is not among them: the
parser leaves such mails to it. Times are told by a long test.
"""

import gc
import random
import sys
from types import FrameType
from typing import TYPE_CHECKING

import pytest
from mails import diff as made
from mails import mail

from ingestd.mail.parse import parse

from . import corpus
from .usual import DEAREST, SURELY, SUSPECT, Usual

if TYPE_CHECKING:
    from _typeshed import TraceFunction

TEXT = "A line of a text that says something.\n"
SIZE, SMALL_SIZE = 200_000, 6_000
MOST = 75  # instructions a byte

FILE = "diff --git a/f b/f\nindex 1111111..2222222 100644\n--- a/f\n+++ b/f\n"
SMALL = f"{FILE}@@ -1 +1 @@\n-a\n+b\n"
PLACES = {
    "a text": "{}",
    "a message": "{}\n---\n\n" + SMALL,
    "notes": "Why.\n---\n{}\n" + SMALL,
    "a whole hunk": "Why.\n---\n\n" + FILE + "@@ -1,{count} +1,{count} @@\n{}",
    "a hunk cut off": "Why.\n---\n\n" + FILE + "@@ -1,999999 +1,999999 @@\n{}",
    "a hunk's end": "Why.\n---\n\n" + SMALL + "{}",
    "between files": "Why.\n---\n\n" + SMALL + "{}" + SMALL,
    "a file's header": "Why.\n---\n\ndiff --git a/f b/f\n{}",
    "binary data": "Why.\n---\n\ndiff --git a/f b/f\nindex 1..2\nGIT binary patch\n{}",
    "nothing begun": "Why.\n---\n\n--- a\n+++ b\n@@ -1,999999 +1 @@\n{}",
    "a context diff": "Why.\n---\n\n*** a/f\n--- b/f\n***************\n*** 1 ****\n{}",
    "a signature": "Why.\n---\n\n" + SMALL + "-- \n{}",
}
LINES = (
    "\n",
    " \n",
    "+\n",
    "-\n",
    "x\n",
    "a\n",
    " \n+\n-\n",
    "\\ No newline at end of file\n",
    "-- \n",
    "--- \n",
    "\r\n",
    "\\\n",
    "B\na\n",
    "d\n",
)
FILES = (
    "--- a\n+++ b\n", "--- a\n+++ b\n@@ -1 +1 @@\n-a\n+b\n", "diff --git a/f b/f\n", SMALL, "@@ -1 +1 @@\n-\n+\n",
    "Index: f\n", "diff --git a/f b/f\nold mode 1\nnew mode 2\n", "diff \n", "*** a\n--- b\n***************\n",
    "Index: f\n\n", "--- a\n", "index 1\n", "i\n", 'diff --git "a/\\303" "b/\\303"\n',
    "rename to g\n--- a\n+++ b\n@@ -1 +1 @@\n", "--- a\n+++ b\n@@ -1 +1 @@\n-a\n+b\n-- \n1\n\n",
    "f\n\n--- a\n+++ b\n@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n",
)  # fmt: skip
# What an answer or a flowed text may be full of: hunks cut short, lost blanks, broken lines.
HUNKS = (
    "@@ -1,9 +1,9 @@\n x\n-a\n+b\nWhy?\n", "@@ -1,999999 +1,999999 @@\n x\n+a\n", "@@ -1,9 +1,9 @@\n-- \n\n",
    "--- a\n+++ a\n@@ -1,2 +1,2 @@\n\tx\n-a\n+b\n", "@@ -1,2 +1,2 @@\n  a\n-b \n+c\n", "@@ -1,2 +1,2 @@\n  a\n-b\n+c\n",
    "--- a\n+++ a\n@@ -1,9 +1,9 @@\n x\n-a\n+b\n", "Original Message\n\n", "a \n", "  a\n+b \n", f"{'x' * 70}\ny\n",
)  # fmt: skip
PROSE = (
    "---\n", "_\n", "> a\n", "From: a\n", "A: b\n", "a:\n", " f | 2 +-\n", "a-by: b@c\n", "Cc: a@b\n", "Link: http://a\n",
    "Fixes: 0123456\n", "base-commit: 0123456\n", "Based-on: <a@b>\n", "-8<-\n", "On a wrote:\n", "A (1):\n  b\n",
    "\0\n", "x", "d\n\n", "change-id: a-b\n", "Supersedes: a@b\n", "Supersedes: a@b\na-by:\n", "Cc: a\n", "From:\n",
    "Reviewed-by: C,\n", "Reviewed-by:\x1bA <a@\">\n", "Message-ID: <\n", " f | 2 +-\nFrom: a\n", "on-id:\n",
)  # fmt: skip
QUOTES = ("<blockquote>", "<blockquote>a", "</blockquote>a", "<blockquote>a<br></blockquote>")
TAGS = (
    "<p>",
    "<b>",
    "<br>",
    "<pre>",
    "<script>",
    "<style></style>",
    "<!---->",
    "<",
    "&lt;",
    "&l ",
    "<b>a",
    "<p>\n",
    *QUOTES,
)
FIELDS = (
    "From",
    "Cc",
    "Subject",
    "References",
    "In-Reply-To",
    "Message-ID",
    "Date",
    "List-Id",
    "Reply-To",
    "Content-Type",
)
VALUES = (
    "a@b, ", "A <a@b>, ", ",", ";", "(", "()", '"', '""', "<", "<>", "<a@b> ", "=?", "=?utf-8?q?a?= ",
    "=?utf-8?b?YQ==?=", "a ", "[a] ", "Re: ", "a;b=c;", "a*0=b;", "\n ",
    '" <', '"\\ ', '<"a",', "(a", "(()", "(a),", "a at b ", "@ ", "[: ", "v ", "1/2 ", ",=?utf-8?q?a?= ", ',""', ";=?",
)  # fmt: skip
TRANSFERS = {
    "quoted-printable": ("=41", "=\n", "=0A", "a\n"),
    "base64": ("QQ==", "Q\n", "CgoK", "!"),
    "x-uuencode": ("!00\n", "M\n", "| a\n", "\n", "begin 644 x\n"),
}
FLOWED = ("Content-Type", "text/plain; format=flowed; delsp=yes")
MUNGED = "Ann via demo <demo@example.org>"


def _times(piece: str, size: int) -> str:
    return piece * (size // len(piece.encode()))


def _body(body: str, *headers: tuple[str, str], author: str = "Ann <ann@example.org>") -> bytes:
    return mail("1@x", "[PATCH] x", body, author=author, headers=headers)


def shapes(size: int) -> dict[str, bytes]:
    """Mails of about so many bytes, by what there is so much of."""
    found = {}
    for line in LINES:
        for name, place in PLACES.items():
            many = _times(line, size)
            count = sum(many.count(mark) for mark in ("\n ", "\n-", "\n\n")) + 1
            found[f"{line!r} in {name}"] = _body(place.replace("{count}", str(count)).replace("{}", many))
    for line in FILES + PROSE:
        for name in ("a text", "a message", "notes", "a hunk's end", "between files", "a file's header"):
            found[f"{line!r} in {name}"] = _body(PLACES[name].replace("{}", _times(line, size)))
        found[f"{line!r} in an answer"] = mail("1@x", "Re: x", _times(line, size), reply_to="2@x")
    found |= _answers(size)
    for tag in TAGS:
        found[f"{tag!r}, HTML"] = _body(_times(tag, size), ("Content-Type", "text/html; charset=utf-8"))
    for field in FIELDS:
        for value in VALUES:
            found[f"{value!r} in {field}"] = _body("Text.\n", (field, _times(value, size)), author=MUNGED)
        found[f"many {field}"] = _times(f"{field}: a@b\n", size).encode() + _body("Text.\n", author=MUNGED)
    for line in ("a:\n", "a\n", " \n", "a :\n", ">From \n", "=\n", "S>\n"):
        found[f"{line!r} among the headers"] = b"A: b\n" + _times(line, size).encode() + _body("Text.\n")
    multipart = "Content-Type: multipart/mixed; boundary=c\n\n"
    for line in (
        "--b\n", "--b--\n", "--c\n", "--\n", "-- \n", "--bc\n", "--b\n\n--c\n", "--b\n\na\n", "--b\nFrom: a\n\n",
        "--b\nContent-Type: text/html\n\n", f"--b\n{multipart}", f"--b\n{multipart}--c--\n",
    ):  # fmt: skip
        found[f"{line!r}, MIME"] = _body(_times(line, size), ("Content-Type", "multipart/mixed; boundary=b"))
    nested = "".join(f"Content-Type: multipart/mixed; boundary={'b' * n}\n\n--{'b' * n}\n" for n in range(2, 17))
    for line in (f"--{'b' * 16}x\n", "--bx\n"):
        text = f"--b\n{nested}{_times(line, size)}"
        found[f"{line!r}, nested MIME"] = _body(text, ("Content-Type", "multipart/mixed; boundary=b"))
    for encoding, pieces in TRANSFERS.items():
        for piece in pieces:
            text = ("begin 644 x\n" if encoding == "x-uuencode" else "") + _times(piece, size)
            found[f"{piece!r}, {encoding}"] = _body(text, ("Content-Transfer-Encoding", encoding))
    found |= _footers(size)
    found["no charset's bytes"] = _body("") + b"\xff\n" * (size // 2)
    found["many bytes of no charset"] = _body("") + b"\xc3\xff\xfe\x80\n" * (size // 5)
    found["ordinary files"] = _body(_times(made("dir/file.c"), size))
    return found


def _answers(size: int) -> dict[str, bytes]:
    """Answers, and texts whose lines may be joined."""
    found = {}
    for line in HUNKS:
        text = "> how?\n\n" + FILE + "@@ -1,999 +1,999 @@\n a\n-b\n" + _times(line, size)
        found[f"{line!r}, an answer"] = mail("1@x", "Re: x", text, reply_to="2@x")
        found[f"{line!r}, a flowed answer"] = mail("1@x", "Re: x", text, reply_to="2@x", headers=[FLOWED])
        found[f"{line!r}, a flowed patch"] = _body(text, FLOWED)
    for line in (" \n", "+\n", " a \n"):
        text = PLACES["a hunk cut off"].replace("{}", _times(line, size))
        found[f"{line!r}, flowed"] = _body(text, FLOWED)
    return found


def _footers(size: int) -> dict[str, bytes]:
    """Long words where a list's footer is looked for."""
    found = {}
    for word in ("9.", "_.", "a-", "@a"):
        lines = f"{word * 250}\n" * 3
        found[f"{word!r} in a footer"] = _body(f"{_times(TEXT, size)}{'_' * 40}\n{lines}")
        found[f"{word!r} behind dashes"] = _body(f"{_times(TEXT, size)}--\n{lines}unsubscribe")
    return found


def _instructions(raw: bytes) -> int:
    """How many instructions of Python's virtual machine a mail takes."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> "TraceFunction":
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        parse(raw)
    finally:
        sys.settrace(before)
    return count


def test_no_shape_takes_many_instructions() -> None:
    """The first hundred lines of anything may be looked at closely, so that a small mail says nothing."""
    small, large = shapes(1_000), shapes(8_000)
    first = {name: _instructions(raw) for name, raw in small.items()}
    costs = {name: (_instructions(raw) - first[name]) / (len(raw) - len(small[name])) for name, raw in large.items()}
    assert {name: round(cost) for name, cost in costs.items() if cost > MOST} == {}


@pytest.mark.long
def test_no_shape_takes_long() -> None:
    """At most DEAREST times the time a byte of ordinary mails, large ones and small ones."""
    gc.collect()
    gc.disable()
    try:
        usual = Usual([raw for _, raw in random.Random(1).sample(list(corpus.aspeed()), 400)])
        sized = {(size, name): raw for size in (SMALL_SIZE, SIZE) for name, raw in shapes(size).items()}
        dear = {name: raw for name, raw in sized.items() if usual.times(raw, 2) > SUSPECT}
        costs = {name: round(usual.times(raw, SURELY), 1) for name, raw in dear.items()}
    finally:
        gc.enable()
    assert {name: times for name, times in costs.items() if times > DEAREST} == {}
