"""Which mails are the same mail."""

import base64
import hashlib
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mails import diff, mail

from ingestd.mail import identity
from ingestd.mail.parse import parse
from ingestd.mail.text import Texts

TEXT = "Grüße.  \n\nSigned-off-by: Ann <ann@example.org>\n---\n\n" + diff() + "-- \n2.39.5\n\n"
FOOTER = "_" * 47 + "\ndemo mailing list\ndemo@lists.example.org\nhttps://lists.example.org/listinfo/demo\n"


def _mail(
    body: bytes, subject: str = "[PATCH] x", author: str = "Ann <ann@example.org>", kind: str = "", extra: str = ""
) -> bytes:
    head = f"From: {author}\nSubject: {subject}\nMessage-ID: <1@x>\nDate: Mon, 2 Nov 2026 10:00:00 +0000\n{extra}"
    kind = kind or "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
    return head.encode() + kind.encode() + b"\n" + body


def _key(raw: bytes) -> str:
    return parse(raw).content_key


PLAIN = _mail(TEXT.encode())
LATIN = "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n"
BASE64 = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n"
QUOTED = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n"
MIXED = "Content-Type: multipart/mixed; boundary=b\n"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(_mail(TEXT.encode("latin-1"), kind=LATIN), id="charset"),
        pytest.param(_mail(base64.encodebytes(TEXT.encode()), kind=BASE64), id="base64"),
        pytest.param(
            _mail(base64.encodebytes(TEXT.replace("\n", "\r\n").encode()), kind=BASE64), id="base64 with CRLF"
        ),
        pytest.param(_mail(quopri.encodestring(TEXT.encode()), kind=QUOTED), id="quoted-printable"),
        pytest.param(PLAIN.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(_mail(TEXT.encode(), subject="[demo] [PATCH] x"), id="subject tag"),
        pytest.param(_mail(TEXT.encode(), author="Ann via demo <demo@lists.example.org>"), id="munged From"),
        pytest.param(_mail((TEXT + FOOTER).encode()), id="footer appended"),
        pytest.param(_mail((TEXT.rstrip() + "\n" + FOOTER).encode()), id="footer appended, blank lines gone"),
        pytest.param(
            _mail(
                b"--b\nContent-Type: text/plain; charset=utf-8\n\n" + TEXT.encode() + b"\n--b\n"
                b"Content-Type: text/plain; charset=us-ascii\n\n" + FOOTER.encode() + b"\n--b--\n",
                kind=MIXED,
            ),
            id="footer in a part of its own",
        ),
        pytest.param(_mail(TEXT.replace("Grüße.  ", "Grüße.").encode()), id="trailing blanks gone"),
        pytest.param(_mail(TEXT.encode() + b"\n\n\n"), id="blank lines at the end"),
        pytest.param(PLAIN.replace(b"10:00:00 +0000", b"12:00:00 +0200"), id="zone"),
        pytest.param(_mail(TEXT.encode(), extra="Received: by x id y; Mon, 2 Nov 2026\nX-Spam-Score: 1\n"), id="trace"),
    ],
)
def test_a_redelivery_has_the_same_key(raw: bytes) -> None:
    assert _key(raw) == _key(PLAIN)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(_mail(TEXT.replace("three", "four").encode()), id="other diff"),
        pytest.param(PLAIN.replace(b"10:00:00", b"10:00:01"), id="other Date"),
        pytest.param(_mail(("x" + TEXT).encode()), id="other text"),
        pytest.param(_mail(TEXT.replace("\n\n", "\n").encode()), id="inner blank lines gone"),
    ],
)
def test_another_mail_has_another_key(raw: bytes) -> None:
    assert _key(raw) != _key(PLAIN)


def test_html_counts_only_without_plain_text() -> None:
    def both(html: str) -> bytes:
        return _mail(
            f"--b\nContent-Type: text/plain\n\nText.\n--b\nContent-Type: text/html\n\n{html}\n--b--\n".encode(),
            kind="Content-Type: multipart/alternative; boundary=b\n",
        )

    def alone(html: str) -> bytes:
        return _mail(html.encode(), kind="Content-Type: text/html\n")

    assert _key(both("<p>a</p>")) == _key(both("<p>b</p>"))
    assert _key(alone("<p>a</p>")) != _key(alone("<p>b</p>"))


def test_other_bytes_count_only_without_text() -> None:
    kind = "Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n"
    assert _key(_mail(b"AAAA\n", kind=kind)) != _key(_mail(b"BBBB\n", kind=kind))
    assert _key(_mail(b"AAAA\n", kind=kind)) == _key(_mail(b"AA\nAA\n", kind=kind))


def test_a_missing_message_id_is_made_from_the_key() -> None:
    read = parse(mail(None, "x", "Text.\n"))
    assert read.message_id == f"{read.content_key[:32]}@missing.invalid"
    assert "no Message-ID" in read.defects


def test_mail_sha256_is_what_its_definition_says() -> None:
    raw = (
        b"Received: by x\n\tid y\nFrom: a@b.c\nDKIM-Signature: v=1;\n b=x\nX-Spam-Score: 1\nARC-Seal: i=1\nSubject: x\n"
        b"Lines: 3\n folded\n\nText.\n\n"
    )
    expected = hashlib.sha256(b"From: a@b.c\nSubject: x\n\nText.\n\n").hexdigest()
    for variant in (raw, raw.replace(b"\n", b"\r\n"), b"From x@y Mon Jan  1\n" + raw):
        assert parse(variant).mail_sha256 == expected
    assert parse(raw[:-1]).mail_sha256 == hashlib.sha256(b"From: a@b.c\nSubject: x\n\nText.\n").hexdigest()
    assert parse(raw[:-2]).mail_sha256 == parse(raw[:-1]).mail_sha256


def test_mail_sha256_keeps_odd_bytes() -> None:
    raw = b"Subject: \xff\xfe\nTo: \xc3\xbc\n\n\xff\0\n"
    assert parse(raw).mail_sha256 == hashlib.sha256(raw).hexdigest()


def test_trace_headers_are_told_in_any_case() -> None:
    assert identity.is_trace("received")
    assert identity.is_trace("x-spam-anything")
    assert not identity.is_trace("reply-to")
    assert not identity.is_trace("list-id")


@given(
    st.lists(
        st.sampled_from(["a", "a ", "_" * 30, "https://x.org", "", "-- ", "--", "x mailing list", "\t"]), max_size=12
    ),
)
def test_the_key_ignores_how_lines_end(lines: list[str]) -> None:
    one = mail("1@x", "x", "\n".join(lines))
    two = mail("1@x", "x", " \r\n".join(line.rstrip() for line in lines) + "\n \n\n")
    assert _key(one) == _key(two)


SPACES = [chr(code) for code in range(0x110000) if chr(code).isspace() and chr(code) not in "\r\n"]


@given(
    st.lists(st.tuples(st.sampled_from(["", "a", " a", "-", "ü"]), st.sampled_from([*SPACES, "", ""])), max_size=300)
)
def test_the_key_ignores_every_kind_of_blank_at_the_end_of_a_line(lines: list[tuple[str, str]]) -> None:
    blanks, none = ("\n".join(word + blank * end for word, blank in lines) for end in (2, 0))
    one, two = Texts(plain=[f"{blanks}\nend"]), Texts(plain=[f"{none}\nend"])
    assert identity.content_key(None, "", one) == identity.content_key(None, "", two)


def test_the_key_of_many_lines_with_blanks_at_their_end() -> None:
    for blank in SPACES:
        for many in (1, 99, 100, 101, 102, 300):
            one, two = Texts(plain=[f" a{blank}\n\n" * many]), Texts(plain=[" a\n\n" * many])
            assert identity.content_key(None, "", one) == identity.content_key(None, "", two)
