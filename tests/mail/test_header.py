"""The header block: splitting, encoded words, ids."""

from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestd.mail import header
from ingestd.mail.parse import parse


def _headers(text: str) -> header.Headers:
    return header.read(text.encode() + b"\n\nbody\n")[0]


def test_fields_keep_order_repeats_case_and_folding() -> None:
    mail = parse(b"B: 1\na: 2\nB: 3\n  folded\nSubject: x\n\n")
    assert mail.headers == (("B", "1"), ("a", "2"), ("B", "3\n  folded"), ("Subject", "x"))


def test_a_forgotten_blank_line_ends_the_header() -> None:
    mail = parse(b"From: a@b.c\nSubject: x\nHello there, all\nNote: y\n")
    assert [name for name, _ in mail.headers] == ["From", "Subject"]
    assert mail.content == "Hello there, all\nNote: y"
    assert "header ends without a blank line" in mail.defects


def test_blanks_before_the_colon_and_mbox_lines_are_forgiven() -> None:
    mail = parse(b"From x@y Mon Jan 1\nFrom: a@b.c\n>From old line\nSubject : x\n\nt\n")
    assert mail.headers == (("From", "a@b.c"), ("Subject", "x"))
    assert mail.subject.text == "x"


def test_a_mail_without_header_is_all_text() -> None:
    mail = parse(b"\nHello\n")
    assert (mail.headers, mail.content) == ((), "Hello")
    assert {"no header", "no From", "no Date", "no Subject", "no Message-ID"} <= set(mail.defects)


def test_8_bit_headers_are_utf_8_or_latin_1() -> None:
    mail = parse(b"From: J\xc3\xbcrgen <j@x.org>\nTo: J\xfcrgen <j@x.org>\n\n")
    assert mail.headers == (("From", "Jürgen <j@x.org>"), ("To", "Jürgen <j@x.org>"))
    assert mail.author.name == "Jürgen"
    assert "8-bit header" in mail.defects


def test_nul_never_reaches_a_value() -> None:
    mail = parse(b"Subject: a\0b\nFrom: x\0 <x@y>\n\nte\0xt\n")
    assert mail.subject.text == "a\ufffdb"
    assert mail.content == "te\ufffdxt"
    assert {"NUL in the header", "NUL in the text"} <= set(mail.defects)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=?utf-8?q?J=C3=BCrgen?= Gro=?=", "Jürgen Gro=?="),
        ("=?UTF-8?B?SsO8cmdlbg==?=", "Jürgen"),
        ("=?UTF-8?B?SsO8cmdlbg?=", "Jürgen"),
        ("=?utf-8?q?a?=\n =?utf-8?q?_b?=", "a b"),
        ("=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"),
        ("=?iso-8859-1*de?q?=FC?=", "ü"),
        ("=?y?q?=C3=BC?=", "ü"),
        ("=?utf-8?q?=FC?=", "ü"),
        ("=?utf-8?q?a b,\n c?=", "a b, c"),
        ("glued=?utf-8?q?=C3=BC?=text", "gluedütext"),
        ("=?utf-8?q?unterminated", "=?utf-8?q?unterminated"),
        ("=?utf-8?q??=", ""),
        ("=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
        ("=?gb2312?B?1tDOxA==?=", "中文"),
        ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
    ],
)
def test_encoded_words(value: str, text: str) -> None:
    assert header.one_line(value) == text


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("<a@b>", ["a@b"]),
        ("<a@b> (comment) <c@d>", ["a@b", "c@d"]),
        ("<hello\tworld@x>", ["helloworld@x"]),
        ("<a\n b@c>", ["ab@c"]),
        ("<<a@b>>", ["a@b"]),
        ("a@b c@d", ["a@b", "c@d"]),
        ("Your message of Monday", []),
        ('Message from A <a@b> of "Mon, 1 Jan" <id@c>', ["a@b", "id@c"]),
        ("", []),
        ("<>", []),
        ("<broken", []),
    ],
)
def test_ids(value: str, ids: list[str]) -> None:
    assert header.ids(value) == ids


@pytest.mark.parametrize(
    ("value", "message_id"),
    [
        ("<a@b>", "a@b"),
        ("  <a@b> added by relay", "a@b"),
        ("bare@id", "bare@id"),
        ("<two@at@signs>", "two@at@signs"),
        ("<spaces in side@x>", "spacesinside@x"),
        ("no-at-sign", "no-at-sign"),
    ],
)
def test_message_id(value: str, message_id: str) -> None:
    assert parse(f"Message-ID: {value}\n\nx\n".encode()).message_id == message_id


def test_the_first_message_id_that_is_one_counts() -> None:
    assert parse(b"Message-ID: <>\nMessage-Id: <a@b>\nMESSAGE-ID: <c@d>\n\n").message_id == "a@b"


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("<1@x>", ("1@x",)),
        ("<1@x> <2@x>", ("1@x", "2@x")),
        ("<1@x> from Bob <bob@x.org>", ("1@x",)),
        ('Message from Bob <BOB@x.org> of "Mon, 1 Jan 2026" <1@x>', ("1@x",)),
        ("Your message of Monday <carl@x.org>", ()),
        ("Bob <bob@x.org>", ()),
        ("no-at-sign", ()),
        ("<no-at-sign>", ("no-at-sign",)),
        ("<y>", ()),
        ("n", ()),
        ("", ()),
    ],
)
def test_what_a_mail_answers_is_no_person(value: str, ids: tuple[str, ...]) -> None:
    raw = f"From: Ann <ann@x.org>\nTo: Bob <bob@x.org>\nCc: l@x.org, Carl <carl@x.org>\nIn-Reply-To: {value}\n\nx\n"
    assert parse(raw.encode()).in_reply_to == ids


def test_references_keep_their_order_and_all_fields_count() -> None:
    mail = parse(b"In-Reply-To: <a@b>\nIn-Reply-To: <c@d>\nReferences: <x@y>\n <z@w>\nReferences: <a@b> <x@y>\n\n")
    assert mail.in_reply_to == ("a@b", "c@d")
    assert mail.references == ("x@y", "z@w", "a@b")


@pytest.mark.parametrize(
    ("value", "list_id"),
    [
        ("<qemu-devel.nongnu.org>", "qemu-devel.nongnu.org"),
        ("QEMU <QEMU-Devel.NonGNU.org>", "qemu-devel.nongnu.org"),
        ('"A <b> list" <c.example.org>', "c.example.org"),
        ("qemu-devel.nongnu.org (comment)", "qemu-devel.nongnu.org"),
        ("A list of words", None),
        ("=?utf-8?q?=C3=BC?=\n <l.example.org>", "l.example.org"),
    ],
)
def test_list_id(value: str, list_id: str | None) -> None:
    assert parse(f"List-Id: {value}\n\n".encode()).list_id == list_id


def test_queue_id_is_the_topmost() -> None:
    mail = parse(
        b"Received: from a (b [1.2.3.4])\n\tby c with ESMTPS id 4frYJG6rJ4z1yD3\n\tfor <x@y>; Thu, 09 Apr 2026\n"
        b"Received: by d id OLDER; Thu, 09 Apr 2026\n\n"
    )
    assert mail.queue_id == "4frYJG6rJ4z1yD3"


def test_what_a_relay_says_the_id_was_before_is_kept() -> None:
    mail = parse(b"Message-ID: <new@mx>\nX-Google-Original-Message-ID: <old@host>\nX-OQ-MSGID: <older@host>\n\n")
    assert mail.former_ids == ("old@host", "older@host")


def test_more_fields_than_anybody_needs_are_cut_with_a_defect() -> None:
    for field in (b"X-Field: a value of sane length\n", b"X-A: b\n"):
        head = field * (header.MAX_FIELDS + 5) + b"Subject: behind"
        most = min(200 + len(head) // 32, header.MAX_FIELDS)
        mail = parse(head + b"\n\ntext\n")
        assert len(mail.headers) == most
        assert mail.content == "text"
        assert f"more than {most} header fields" in mail.defects


@given(
    st.lists(
        st.sampled_from(["=?utf-8?q?", "=?x?b?", "?=", "=", "=C3", "=BC", "ab", " ", "\n ", "?", "_"]), max_size=20
    )
)
def test_any_header_decodes(pieces: list[str]) -> None:
    header.one_line("".join(pieces)).encode("utf-8")


def test_a_header_of_more_fields_than_are_looked_at_first() -> None:
    fields = b"".join(b"X-%d: y\n z\n" % number for number in range(3 * header.FIRST))
    for before in (0, 10, header.FIRST - 1, header.FIRST, 2 * header.FIRST):
        lines = fields.split(b"\nX")
        head = b"\nX".join(lines[:before]) + b"\n" if before else b""
        for mbox in (b"", b"From a@b Mon\n"):
            read, rest, defects = header.read(mbox + head + b"no field\nA: b\n\ntext\n")
            assert (len(read.fields), rest) == (before, b"no field\nA: b\n\ntext\n")
            assert defects == (["header ends without a blank line"] if before else ["no header"])
    read, rest, defects = header.read(fields + b"\ntext\n")
    assert (len(read.fields), rest, defects) == (3 * header.FIRST, b"text\n", [])


@given(st.lists(st.sampled_from([b"A: b", b"B:\n c", b"From x: y", b">From y", b"no field", b"C d: e"]), max_size=12))
def test_a_header_ends_where_it_does_line_by_line(lines: list[bytes]) -> None:
    fields = []
    at = 0
    while at < len(lines) and lines[at].startswith((b"A", b"B", b"From ", b">From ")):
        fields += [lines[at]] if lines[at][:1] in b"AB" else []
        at += 1
    ended = at < len(lines)
    with mock.patch.object(header, "FIRST", 3), mock.patch.object(header, "MAX_FIELDS", 5):
        read, rest, _ = header.read(b"\n".join([*lines, b"", b"text", b""]))
    if lines:
        assert [one.encode() for one in read.raw] == fields
        assert read.names == [one[:1].decode().lower() for one in fields]
        assert len(read.fields) == min(len(fields), 5)
        assert rest == b"\n".join([*lines[at:], b"", b"text", b""] if ended else [b"text", b""])


def test_so_many_encoded_words_are_read() -> None:
    read = header.decode("=?utf-8?q?a?= " * (header.MAX_WORDS + 1))
    assert read == "a" * header.MAX_WORDS + " =?utf-8?q?a?= "
