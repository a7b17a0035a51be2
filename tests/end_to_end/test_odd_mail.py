"""Mail that is broken, huge or hostile is taken, kept as it came, and harms nobody."""

import hashlib
import json

import pytest

from end_to_end.conftest import MailingList
from end_to_end.peer import Peer, crlf, deliver

HEAD = b"From: Ann <ann@example.org>\nMessage-ID: <%s@example.org>\nDate: Mon, 2 Nov 2026 10:00:00 +0000\nSubject: "
TEXT = b"\n\nText.\n"

DIFF = b"""---
 a | 2 +-

diff --git a/a b/a
index 1111111..2222222 100644
--- a/a
+++ b/a
@@ -1 +1 @@
-old
+new
"""


def _with_head(name: str, rest: bytes) -> bytes:
    return HEAD % name.encode() + rest


# Each with a text that one of its defects has, or None where nothing is wrong with it.
ODD: dict[str, tuple[bytes, str | None]] = {
    "no-message-id": (b"From: a@example.org\nDate: Mon, 2 Nov 2026 10:00:00 +0000\nSubject: x" + TEXT, "Message-ID"),
    "no-from": (b"Message-ID: <no-from@x>\nDate: Mon, 2 Nov 2026 10:00:00 +0000\nSubject: x" + TEXT, "From"),
    "no-date": (b"Message-ID: <no-date@x>\nFrom: a@example.org\nSubject: x" + TEXT, "Date"),
    "no-subject": (
        b"Message-ID: <no-subject@x>\nFrom: a@example.org\nDate: Mon, 2 Nov 2026 10:00:00 +0000" + TEXT,
        "Subject",
    ),
    "nothing-at-all": (b"\n", "Message-ID"),
    "only-a-body": (b"\nHello.\n", "Message-ID"),
    "no-header-at-all": (b"this is no header\nnor is this\n", "Message-ID"),
    "bad-date": (
        _with_head("bad-date", b"x\nDate: yesterday" + TEXT).replace(b"Mon, 2 Nov 2026 10:00:00 +0000", b"soon"),
        "Date",
    ),
    "boundary-never-comes": (
        _with_head("boundary", b"x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=there\n\nText.\n"),
        "multipart",
    ),
    "no-boundary": (
        _with_head("no-boundary", b"x\nMIME-Version: 1.0\nContent-Type: multipart/mixed\n\n--x\n\nText.\n--x--\n"),
        "boundary",
    ),
    "broken-base64": (
        _with_head(
            "base64", b"x\nMIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n@@@=A\n"
        ),
        "base64",
    ),
    "unknown-charset": (
        _with_head("charset", b"x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=klingon-42\n\nT\xe9xt.\n"),
        "charset",
    ),
    "codec-that-is-no-charset": (
        _with_head("codec", b"x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=rot13\n\nText.\n"),
        "charset",
    ),
    "lying-charset": (
        _with_head("lying", b"x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\nT\xe9xt \xff\xfe.\n"),
        None,
    ),
    "nul-bytes": (_with_head("nul", b"a\0b\n\nText\0 with \0\0.\n"), None),
    "nul-in-patch": (
        _with_head("nul-patch", b"[PATCH\0 1/2\0] a\0b\n\nText\0.\n" + DIFF.replace(b"new", b"n\0w")),
        None,
    ),
    "nul-in-ids": (_with_head("nul-id\0more", b"x\nIn-Reply-To: <a\0b@c>\nList-Id: <l\0x.example.org>" + TEXT), None),
    "lone-surrogate-utf-16": (
        # A high surrogate alone, and a low one alone, in UTF-16 big endian.
        _with_head("utf16", b"=?utf-16be?B?2D0AYQ==?= =?utf-16?B?3AA=?=\nX: =?utf-16le?Q?=3D=D8?=" + TEXT),
        None,
    ),
    "lone-surrogate-utf-8": (
        _with_head("utf8", b"=?utf-8?B?7bKA?= =?utf-8?Q?=ED=A0=80?= \xed\xb2\x80 \xff" + TEXT),
        None,
    ),
    "lone-surrogate-utf-7": (_with_head("utf7", b"=?utf-7?Q?+2AA-?= =?unicode-escape?Q?=5Cud800?=" + TEXT), None),
    "surrogate-body": (
        _with_head("body", b"[PATCH] x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-7\n\n+2AA-\n" + DIFF),
        None,
    ),
    "surrogate-name": (
        b"From: =?utf-16be?B?2D0=?= <ann@example.org>\n"
        b"Reply-To: \xed\xa0\x80 <x\xed\xa0\x80@y>\nMessage-ID: <\xed\xa0\x80@z>\n"
        b"Date: Mon, 2 Nov 2026 10:00:00 +0000\nSubject: [PATCH] x\n\nSigned-off-by: \xed\xa0\x80 <a@b>\n" + DIFF,
        None,
    ),
    "long-subject": (_with_head("long-subject", b"[PATCH 1/2] " + b"long " * 20_000 + TEXT + DIFF), None),
    "long-word": (_with_head("long-word", b"x" * 100_000 + TEXT), None),
    "long-message-id": (_with_head("i" * 20_000, b"x\nReferences: " + b"<r@x> " * 10_000 + TEXT), None),
    "long-list-id": (_with_head("long-list", b"x\nList-Id: <" + b"l" * 10_000 + b".example.org>" + TEXT), None),
    "many-header-lines": (_with_head("many", b"x\n" + b"".join(b"X-%d: y\n" % n for n in range(10_000)) + TEXT), None),
    "one-header-of-many-lines": (_with_head("folded", b"x\nX-Long:" + b"\n y" * 10_000 + TEXT), None),
    "many-references": (
        _with_head("references", b"x\nReferences:" + b"".join(b"\n <%d@x>" % n for n in range(5_000)) + TEXT),
        None,
    ),
    "huge-numbers": (
        _with_head(
            "numbers", b"[PATCH v99999999999999999999 99999999999999999999/99999999999999999999] x" + TEXT + DIFF
        ),
        None,
    ),
    "number-past-int": (_with_head("int", b"[PATCH v2147483648 2147483648/4294967296] x" + TEXT + DIFF), None),
    "number-past-smallint": (_with_head("small", b"[PATCH v40000 40000/70000] x" + TEXT + DIFF), None),
    "number-above-total": (_with_head("above", b"[PATCH 9/3] x" + TEXT + DIFF), None),
    "zero-of-zero": (_with_head("zero", b"[PATCH 0/0] x" + TEXT), None),
    "odd-digits": (_with_head("digits", "[PATCH ²/³] [PATCH ٣/٤] x".encode() + TEXT + DIFF), None),
    "huge-hunk": (_with_head("hunk", b"[PATCH] x\n\n" + DIFF.replace(b"@@ -1", b"@@ -1,99999999999999999999")), None),
    "huge-year": (
        _with_head("year", b"x" + TEXT).replace(b"2 Nov 2026 10:00:00 +0000", b"2 Nov 99999 10:00:00 +9999"),
        "Date",
    ),
    "year-one": (_with_head("one", b"x" + TEXT).replace(b"2 Nov 2026 10:00:00", b"1 Jan 0001 00:00:00"), None),
    "deep-mime": (
        _with_head("deep", b"x\nMIME-Version: 1.0\n")
        + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level) for level in range(5_000))
        + b"Content-Type: text/plain\n\nDeep.\n",
        None,
    ),
    "answers-itself": (
        _with_head("itself", b"x\nIn-Reply-To: <itself@example.org>\nReferences: <itself@example.org>" + TEXT),
        None,
    ),
    "mbox-from-line": (b"From ann@example.org Mon Nov  2 10:00:00 2026\n" + _with_head("mbox", b"x" + TEXT), None),
    "bare-cr": (_with_head("cr", b"x\n\nOne\rtwo\r\rthree\n"), None),
    "tabs-and-escapes": (_with_head("escapes", b"\x1b[31mred\x07\x08 \x7f" + TEXT), None),
    "sql": (_with_head("sql", b"'; DROP TABLE ingestd.message; -- :name %s {x} \\" + TEXT), None),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_mail_is_kept_as_it_came(mailing_list: MailingList, name: str) -> None:
    mail, defect = ODD[name]
    deliver(mailing_list.daemon.lmtp, [mail], [mailing_list.address])
    (row,) = mailing_list.select(
        "SELECT m.message_id, m.defects, d.raw_sha256, d.raw_size FROM ingestd_v1.delivery d"
        " JOIN ingestd_v1.message m ON m.id = d.message WHERE m.list_id = $1"
    )
    sent = crlf(mail)
    assert (row["raw_sha256"], row["raw_size"]) == (hashlib.sha256(sent).hexdigest(), len(sent))
    if defect is not None:
        assert any(defect.lower() in found.lower() for found in row["defects"]), row["defects"]


def test_what_was_kept_can_be_read(mailing_list: MailingList) -> None:
    """All of them on one list: dumped as JSON, exported byte for byte, none in quarantine."""
    deliver(mailing_list.daemon.lmtp, [mail for mail, _ in ODD.values()], [mailing_list.address])
    messages = [line for line in map(json.loads, mailing_list.dump().splitlines()) if line["type"] == "message"]
    assert len(messages) == len(ODD)
    for name in ("nul-bytes", "lone-surrogate-utf-8", "long-subject"):
        mail = ODD[name][0]
        (row,) = mailing_list.select(
            "SELECT message_id FROM ingestd_v1.delivery"
            f" WHERE list_id = $1 AND raw_sha256 = '{hashlib.sha256(crlf(mail)).hexdigest()}'"
        )
        assert mailing_list.export(row["message_id"], "--raw") == crlf(mail)
    assert mailing_list.select("SELECT error FROM ingestd_v1.quarantine WHERE $1 <> ''") == []


def test_a_mail_of_25_megabytes(mailing_list: MailingList) -> None:
    line = b"+" + b"0123456789abcdef" * 4 + b"\n"
    mail = _with_head("large", b"[PATCH] large" + TEXT + DIFF.replace(b"+1 @@", b"+1,400000 @@")) + line * 400_000
    assert len(mail) > 25_000_000
    with Peer(mailing_list.daemon.lmtp) as peer:
        assert peer.send(mail, [mailing_list.address])[0].startswith("250")
    assert mailing_list.export("large@example.org", "--raw") == crlf(mail)
    (patch,) = mailing_list.select("SELECT length(diff) FROM ingestd_v1.patch WHERE list_id = $1")
    assert patch["length"] > 25_000_000


def test_a_mail_past_the_limit_is_refused_and_the_connection_lives(mailing_list: MailingList) -> None:
    with Peer(mailing_list.daemon.lmtp) as peer:
        assert peer.ask(f"MAIL FROM:<> SIZE={60 * 1024 * 1024}").startswith("552 5.3.4")
        replies = peer.begin([mailing_list.address] * 2)
        assert len(replies) == 2
        for _ in range(52):
            peer.write(b"x" * 1_048_574 + b"\r\n")
        peer.write(b".\r\n")
        assert [peer.reply()[:9] for _ in range(2)] == ["552 5.3.4"] * 2
        assert peer.send(_with_head("after", b"x" + TEXT), [mailing_list.address])[0].startswith("250")
    assert len(mailing_list.select("SELECT FROM ingestd_v1.message WHERE list_id = $1")) == 1
