"""Paths and parameters of MAIL and RCPT."""

import re
import time

import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import given
from hypothesis import strategies as st

from ingestd.receive.address import decode_xtext, encode_xtext, parse_parameters, parse_path


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("<a@b.example>", "a@b.example"),
        (" <a@b.example>", "a@b.example"),
        ("<>", ""),
        ("<Postmaster>", "Postmaster"),
        ("<@one.example,@two.example:a@b.example>", "a@b.example"),
        ("<@[192.0.2.1]:a@b.example>", "a@b.example"),
        ('<"a b"@c.example>', '"a b"@c.example'),
        ('<"a@b"@c.example>', '"a@b"@c.example'),
        ('<"a\\"b"@c.example>', '"a\\"b"@c.example'),
        ('<"plain"@c.example>', "plain@c.example"),
        ('<"pl\\ain"@c.example>', "plain@c.example"),
        ('<""@c.example>', '""@c.example'),
        ("<a@[192.0.2.1]>", "a@[192.0.2.1]"),
        ("<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
        ("<.a..b.@c_d.example>", ".a..b.@c_d.example"),
        ("<SRS0=ab+c=d/e=f.example=g@h.example>", "SRS0=ab+c=d/e=f.example=g@h.example"),
        ("<jürgen@müller.example>", "jürgen@müller.example"),
    ],
)
def test_paths(argument: str, expected: str) -> None:
    assert parse_path(argument) == (expected, "")
    assert parse_path(argument + " SIZE=1  BODY=8BITMIME") == (expected, " SIZE=1  BODY=8BITMIME")


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "a@b.example",
        "<a@b.example",
        "a@b.example>",
        "<a@b.example>>",
        "<a@b.example>x",
        "<a b@c.example>",
        "<a@b@c.example>",
        "<a@>",
        "<@b.example>",
        "<@b.example:>x",
        "<a,b@c.example>",
        '<"a@b.example>',
        '<"a"b@c.example>',
        "<a@[192.0.2.1>",
        "<a\x01@b.example>",
        "<<a@b.example>>",
        "x <a@b.example>",
    ],
)
def test_no_paths(argument: str) -> None:
    assert parse_path(argument) is None


LOCALS = st.from_regex(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9+=_-]+){0,2}", fullmatch=True)
DOMAINS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z0-9]{1,8}){0,3}", fullmatch=True)


@given(LOCALS, DOMAINS)
def test_same_answer_as_the_email_package(local: str, domain: str) -> None:
    """What aiosmtpd would say, for ordinary addresses; it takes fifty times longer."""
    theirs, rest = SMTP._getaddr(SMTP.__new__(SMTP), f"<{local}@{domain}> SIZE=1")
    assert (theirs, (rest or "").strip()) == (f"{local}@{domain}", "SIZE=1")
    assert parse_path(f"<{local}@{domain}> SIZE=1") == (theirs, " SIZE=1")


@given(st.text(alphabet=st.sampled_from(list('<>@,:;"\\[] .aé=')), max_size=40))
def test_whatever_is_taken_can_be_written_again(argument: str) -> None:
    found = parse_path(argument)
    if found is not None:
        address, _ = found
        assert parse_path(f"<{address}>") == (address, "")
        assert not re.search(r"[\x00-\x1f\x7f]", address)


@pytest.mark.parametrize(
    "argument", ["<" + "@a," * 20_000, '<"' + "\\a" * 20_000, "<" + "a" * 60_000, "<a>" + " " * 60_000 + "\x00"]
)
def test_long_nonsense_takes_no_time(argument: str) -> None:
    began = time.process_time()
    parse_path(argument)
    parse_parameters(argument)
    assert time.process_time() - began < 0.5


def test_parameters() -> None:
    assert parse_parameters("") == {}
    assert parse_parameters(" size=1  Body=8bitmime SMTPUTF8") == {"SIZE": "1", "BODY": "8bitmime", "SMTPUTF8": None}
    for wrong in ("=1", "SIZE=", "SIZE=1=2", "SIZE=1 size=2", "-X", "X_Y", "a\tb"):
        assert parse_parameters(wrong) is None, wrong


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co", "Cf", "Zl", "Zp", "Zs")), min_size=1))
def test_xtext_round_trip(text: str) -> None:
    encoded = encode_xtext(text)
    assert parse_parameters(f"XLIST={encoded}") == {"XLIST": encoded}
    assert decode_xtext(encoded) == text


@pytest.mark.parametrize("wrong", ["", "a+", "a+0", "a+0a", "a=b", "a b", "+00", "+0A", "+FF", "+ED+A0+80", "é"])
def test_no_xtext(wrong: str) -> None:
    assert decode_xtext(wrong) is None
