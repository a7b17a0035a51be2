"""Any bytes, any line ends, any size: a value comes out, in time linear to the input."""

import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mails import diff, mail, patch, series

from ingestd.mail.parse import parse

from . import sound

LINES = st.sampled_from(
    [
        b"From: Ann <a@b.c>", b"From: \"x via y\" <l@l.org>", b"Reply-To: a@b, \"c", b"Subject: [PATCH v2 1/2] x",
        b"Subject: =?utf-8?q?", b"Subject: =?utf-8?b?A?=", b"Message-ID: <a@b>",
        b"Date: Mon, 2 Nov 2026 10:00:00 +9999", b"References: <a@b", b" <c@d>", b"",
        b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: multipart/mixed; boundary=c", b"--b", b"--b--",
        b"--c", b"--c--", b"Content-Type: text/html", b"Content-Type: text/x-patch", b"Content-Type: message/rfc822",
        b"<p>x", b"<!--", b"<pre>", b"Content-Type: text/plain; format=flowed; delsp=yes; charset=\"",
        b"Content-Transfer-Encoding: base64", b"QUJD", b"=", b"Content-Transfer-Encoding: quoted-printable",
        b"Content-Transfer-Encoding: x-uuencode", b"begin 644 x", b"#0V%T", b"end", b"a =\xff\xc3\xbc\0", b"\x1b$B",
        b"\xed\xa0\x80", b"diff --git a/f b/f", b"index 1..2", b"--- a/f", b"+++ b/f", b"@@ -1,2 +1 @@", b"-a",
        b"+b", b" c", b"GIT binary patch", b"rename from \"\\001", b"rename to x", b"-- ", b"_" * 30,
        b"Reviewed-by: A <a@b>", b" <x@y>", b"Based-on: <a@b>", b"base-commit: 0123456", b"> quoted", b"---",
        b" f | 2 +-", b"*** a", b"--- b", b"***************", b"\r", b"x\r\r", b"The following changes since commit",
        b"are available in the git repository at:", b"  git://x/y z", b"Index: f", b"From 0123",
    ]
)  # fmt: skip


@given(st.lists(LINES, max_size=60), st.sampled_from([b"\n", b"\r\n"]))
@settings(max_examples=400, deadline=None)
def test_any_lines_give_a_sound_value(lines: list[bytes], end: bytes) -> None:
    sound.check(parse(end.join(lines)))


@given(st.binary(max_size=400))
def test_any_bytes_give_a_sound_value(raw: bytes) -> None:
    sound.check(parse(raw))


@given(st.lists(LINES.filter(lambda line: not line.endswith(b"\r")), max_size=60))
@settings(max_examples=300, deadline=None)
def test_line_ends_and_the_last_one_change_nothing(lines: list[bytes]) -> None:
    raw = b"\n".join(lines)
    if raw.startswith((b"From ", b">From ")):
        raw = b"X: y\n" + raw
    read = parse(raw + b"\n")
    assert parse(raw.replace(b"\n", b"\r\n") + b"\r\n") == read
    assert parse(b"From a@b Mon Jan  1 00:00:00 2026\n" + raw + b"\n") == read
    if not raw.endswith(b"\n"):
        assert parse(raw) == read
        assert parse(raw.replace(b"\n", b"\r\n")) == read


def test_ordinary_mail_has_no_defects() -> None:
    for raw in [*series("s", 3), patch("1@x", "[PATCH] x"), mail("2@x", "Re: x", "> a\nb\n", reply_to="1@x")]:
        assert parse(raw).defects == ()


def test_nothing_at_all_is_a_mail_too() -> None:
    read = parse(b"")
    assert (read.headers, read.content, read.kind) == ((), None, "other")
    assert read.message_id.endswith("@missing.invalid")


HEAD = b"From: A <a@b.c>\nSubject: [PATCH 1/2] x\nMessage-ID: <a@b>\nDate: Thu, 1 Jan 2026 00:00:00 +0000\n"

GROWING: dict[str, Callable[[int], bytes]] = {
    "text": lambda size: HEAD + b"\n" + b"plain text of a line\n" * (size // 21),
    "one line": lambda size: HEAD + b"\n" + b"x" * size,
    "blanks": lambda size: HEAD + b"\n" + b" " * size,
    "carriage returns": lambda size: HEAD + b"\n" + b"\r" * size,
    "blank lines": lambda size: HEAD + b"\n" + b"\n" * size,
    "header fields": lambda size: b"X-A: b\n" * (size // 7) + HEAD + b"\nx",
    "one header": lambda size: HEAD + b"X: " + b"a" * size + b"\n\nx",
    "references": lambda size: HEAD + b"References: " + b"<a@b>\n " * (size // 7) + b"\n\nx",
    "brackets": lambda size: b"Subject: " + b"[" * size + b"\n\nx",
    "encoded words": lambda size: b"Subject: " + b"=?a?q?" * (size // 6) + b"\n\nx",
    "quotes": lambda size: b"From: " + b'"a, ' * (size // 4) + b"\n\nx",
    "nested parts": lambda size: (
        HEAD
        + b"Content-Type: multipart/mixed; boundary=b0\n\n"
        + b"".join(b"--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n" % (n, n + 1) for n in range(size // 60))
    ),
    "parts": lambda size: HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * (size // 8),
    "base64": lambda size: HEAD + b"Content-Transfer-Encoding: base64\n\n" + b"aa=\n" * (size // 4),
    "HTML": lambda size: HEAD + b"Content-Type: text/html\n\n" + b"<p" * (size // 2),
    "diffs": lambda size: HEAD + b"\n---\n" + diff().encode() * (size // 120),
    "old files": lambda size: HEAD + b"\n" + b"--- a\n+++ b\n" * (size // 12),
    "a huge hunk": lambda size: HEAD + b"\n--- a/f\n+++ b/f\n@@ -1,9999999 +1,9999999 @@\n" + b" a\n" * (size // 3),
    "trailers": lambda size: HEAD + b"\n" + b"Reviewed-by: a\n  b\n" * (size // 19) + b"---\n" + diff().encode(),
    "underscores": lambda size: HEAD + b"\n" + b"_\n" * (size // 2),
    "flowed": lambda size: (
        HEAD + b"Content-Type: text/plain; format=flowed\n\n" + b"abc \n" * (size // 5) + diff().encode()
    ),
    "Latin-1": lambda size: HEAD + b"Content-Type: text/plain; charset=utf-8\n\n" + b"\xff" * size,
    "in-body headers": lambda size: HEAD + b"\nFrom: a\n" + b" x\n" * (size // 3) + diff().encode(),
    "trailers without address": lambda size: (
        HEAD.replace(b": [", b": Re: [") + b"\n" + (b"Reviewed-by: a" + b" " * 1900 + b"b\n") * (size // 1915)
    ),
    "links without id": lambda size: HEAD + b"\n" + (b"Based-on: " + b"a" * 1900 + b"\n") * (size // 1911),
    "links of at signs": lambda size: HEAD + b"\n" + (b"Based-on: <" + b"a@" * 950 + b"\n") * (size // 1912),
    "a From without address": lambda size: b"From: " + b"a" * size + b"\n\nx",
    "a tag far behind": lambda size: b"Subject: x [" + b"PATCH " * (size // 6) + b"\n\nx",
    "blanks behind On": lambda size: (
        HEAD.replace(b"[PATCH 1/2] ", b"") + b"\n> a\n> b\n> c\nOn abcdef" + b" " * size + b"x\n"
    ),
    "pull requests of blank lines": lambda size: (
        HEAD
        + b"\nThe following changes since commit\n"
        + (b"are available in the git repository at:" + b"\n" * 2900) * (size // 2940)
    ),
    "a footer of dots": lambda size: HEAD + b"\n" + b"_" * 30 + b"\n" + b"a." * (size // 2) + b"\n",
    "pull requests": lambda size: (
        HEAD
        + b"\nThe following changes since commit\n"
        + b"are available in the git repository at:\n\n x@" * (size // 45)
    ),
}


def _seconds(raw: bytes) -> float:
    started = time.process_time()
    parse(raw)
    return time.process_time() - started


@pytest.mark.parametrize("make", GROWING.values(), ids=GROWING)
def test_time_is_linear_in_size(make: Callable[[int], bytes]) -> None:
    """Eight times the size may take sixteen times the time, which no quadratic step passes; ties of tiny times may."""

    def cost(size: int) -> float:
        raw = make(size)
        sound.check(parse(raw))
        return min(_seconds(raw) for _ in range(2))

    small, large = cost(40_000), cost(320_000)
    assert large < 16 * small + 0.02


def test_a_part_costs_the_same_wherever_the_next_blank_line_is() -> None:
    """Many parts without a header's end, up to the number that is read at most."""

    def cost(part: bytes) -> float:
        raw = HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n" + (b"--b\n" + part) * 900 + b"\n" * 10
        return min(_seconds(raw) for _ in range(3))

    assert cost(b"X: multipart/\n" * 20) < 8 * cost(b"X: multipart/\n" * 20 + b"\n\n")


def _texts(count: int) -> Iterator[bytes]:
    """A mail of so many parts, all but alike."""
    yield HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n"
    for number in range(count):
        yield b"--b\n\n" + "Grüße 😀\n".encode() + b"some words here\n" * 500 + b"%04d\n" % number


HUGE: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "25 MB of diffs": (25_000_000, GROWING["diffs"]),
    "25 MB of text": (25_000_000, GROWING["text"]),
    "25 MB of base64": (
        25_000_000,
        lambda size: HEAD + b"Content-Transfer-Encoding: base64\n\n" + (b"QUJD" * 19 + b"\n") * (size // 77),
    ),
    "200,000 header fields": (200_000, lambda count: b"X-A: b\n" * count + HEAD + b"\nx"),
    "200,000 lines of one header": (200_000, lambda count: HEAD + b"X-A: b\n" + b" c\n" * count + b"\nx"),
    "20,000 nested parts": (20_000, lambda count: GROWING["nested parts"](60 * count)),
    "1,000 texts of one length": (1_000, lambda count: b"".join(_texts(count))),
    "a line of 5 MB": (5_000_000, GROWING["one line"]),
    "a line of 5 MB in a diff": (5_000_000, lambda size: HEAD + b"\n--- a/f\n+++ b/f\n@@ -0,0 +1 @@\n+" + b"x" * size),
    "a header line of 5 MB": (5_000_000, GROWING["one header"]),
}


@pytest.mark.long
@pytest.mark.parametrize(("size", "make"), HUGE.values(), ids=HUGE)
def test_huge_mails_take_time_linear_in_size(size: int, make: Callable[[int], bytes]) -> None:
    small, large = make(size // 8), make(size)
    sound.check(parse(large))
    assert min(_seconds(large) for _ in range(2)) < 16 * min(_seconds(small) for _ in range(3)) + 0.02
