"""The lines of Postfix and Exim that say what became of a mail."""

import gzip
from pathlib import Path

import pytest

from ingestd.errors import InputError
from ingestd.sources import maillog
from ingestd.sources.maillog import Handover

POSTFIX = """\
Nov 25 03:44:30 mx postfix/smtpd[11]: 4AAAA100001: client=peer[127.0.0.1]
Nov 25 03:44:30 mx postfix/cleanup[12]: 4AAAA100001: message-id=<one@example.org>
Nov 25 03:44:30 mx postfix/qmgr[13]: 4AAAA100001: from=<a@example.org>, size=418, nrcpt=1 (queue active)
Nov 25 03:44:30 mx postfix/ingestd/lmtp[14]: 4AAAA100001: to=<l@x>, relay=127.0.0.1[127.0.0.1]:8024, delay=0.1, \
delays=0/0/0/0, dsn=4.3.0, status=deferred (host 127.0.0.1[127.0.0.1] said: 451 4.3.0 Try again later (in reply to \
end of DATA command))
Nov 25 03:44:31 mx postfix/lmtp[14]: 4AAAA100001: to=<l@x>, relay=127.0.0.1[127.0.0.1]:8024, delay=1.1, \
delays=0/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Stored)
Nov 25 03:44:31 mx postfix/qmgr[13]: 4AAAA100001: removed
Nov 25 03:44:32 mx postfix/cleanup[12]: 4AAAA100002: message-id=<two@example.org>
Nov 25 03:44:32 mx postfix/smtp[15]: 4AAAA100002: to=<elsewhere@y>, relay=y[192.0.2.1]:25, dsn=2.0.0, \
status=sent (250 Ok)
2026-11-25T03:44:33.123456+00:00 mx postfix/cleanup[12]: 4bZYXw0r3Jz9c: message-id=<three@example.org>
2026-11-25T03:44:33.123456+00:00 mx postfix/pipe[16]: 4bZYXw0r3Jz9c: to=<Piped@x>, relay=ingestd_pipe, dsn=2.0.0, \
status=sent (delivered via ingestd_pipe service)
Nov 26 03:44:30 mx postfix/cleanup[12]: 4AAAA100001: message-id=<again@example.org>
Nov 26 03:44:31 mx postfix/lmtp[14]: 4AAAA100001: to=<l@x>, relay=127.0.0.1[127.0.0.1]:8024, dsn=2.0.0, \
status=sent (250 2.0.0 Stored)
Nov 26 03:44:32 mx postfix/cleanup[12]: 4AAAA100003: message-id=<>
Nov 26 03:44:32 mx postfix/lmtp[14]: 4AAAA100003: to=<piped@x>, relay=none, dsn=5.4.0, status=bounced (no reason)
nonsense
"""

EXIM = """\
2026-11-25 03:46:08 exim 4.96 daemon started: pid=23968, -q1s, listening for SMTP on [127.0.0.1]:50663
2026-11-25 03:46:08 1xW3xQ-0006Fw-2y <= a@example.org H=(peer) [127.0.0.1] P=esmtp S=418 id=one@example.org
2026-11-25 03:46:09 1xW3xQ-0006Fw-2y == l@x R=ingestd T=ingestd_tcp defer (-44): 451 4.3.0 Try again later
2026-11-25 03:46:10 1xW3xQ-0006Fw-2y => l@x R=ingestd T=ingestd_tcp H=127.0.0.1 [127.0.0.1] C="250 2.0.0 Stored"
2026-11-25 03:46:10 1xW3xQ-0006Fw-2y -> piped@x R=ingestd T=ingestd_tcp H=127.0.0.1 [127.0.0.1] C="250 2.0.0 Stored"
2026-11-25 03:46:10 1xW3xQ-0006Fw-2y Completed
2026-11-25 03:46:11.250 +0000 [77] 1xW3xQ-00000006Fw2-3zAB <= <> R=1xW3xQ-0006Fw-2y U=Debian-exim P=local S=1 id=two@y
2026-11-25 03:46:11.251 +0000 [77] 1xW3xQ-00000006Fw2-3zAB ** piped <Piped@x> R=ingestd T=ingestd_pipe: failed
"""


def _file(place: Path, text: str, name: str = "mail.log") -> Path:
    path = place / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["mail.log", "mail.log.2.gz"])
def test_postfix(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path, POSTFIX, name)
    assert maillog.is_log(path)
    ours = [
        Handover("4AAAA100001", "one@example.org", "sent", ours=True),
        Handover("4AAAA100001", "again@example.org", "sent", ours=True),
    ]
    assert maillog.read(path) == ours
    assert maillog.read(path, ["PIPED@*"]) == [
        ours[0],
        Handover("4bZYXw0r3Jz9c", "three@example.org", "sent"),
        ours[1],
        Handover("4AAAA100003", "", "bounced"),
    ]


def test_exim(tmp_path: Path) -> None:
    path = _file(tmp_path, EXIM)
    assert maillog.is_log(path)
    ours = Handover("1xW3xQ-0006Fw-2y", "one@example.org", "sent", ours=True)
    assert maillog.read(path) == [ours]
    assert maillog.read(path, ["piped@x"]) == [ours, Handover("1xW3xQ-00000006Fw2-3zAB", "two@y", "bounced")]


def test_the_rows_that_our_reply_names(tmp_path: Path) -> None:
    line = (
        "Nov  2 10:00:00 mx postfix/lmtp[1]: 4AAAA100001: to=<{}>, relay=x, dsn=2, status=sent (250 2.0.0 Stored{})\n"
    )
    said = [("a@x", " as message 17"), ("b@x", " as message 17"), ("c@x", "")]
    path = _file(tmp_path, "".join(line.format(*one) for one in said))
    assert maillog.read(path) == [Handover("4AAAA100001", None, "sent", ours=True, rows=(17,))]
    assert maillog.read(_file(tmp_path, line.format("a@x", " as message 17,18")))[0].rows == (17, 18)
    assert maillog.read(_file(tmp_path, line.format("a@x", " as quarantined")))[0].rows == ()


def test_what_is_no_log(tmp_path: Path) -> None:
    mbox = "From a@b Mon Nov  2 10:00:00 2026\n" + POSTFIX
    for text in ("", "\n", "Subject: x\n\nText.\n", mbox):
        assert not maillog.is_log(_file(tmp_path, text))
    assert not maillog.is_log(tmp_path)
    assert not maillog.is_log(tmp_path / "nothing")
    with pytest.raises(InputError, match="nothing: No such file"):
        maillog.read(tmp_path / "nothing")


def test_a_log_that_is_cut_off_is_said(tmp_path: Path) -> None:
    log = tmp_path / "mail.log.gz"
    log.write_bytes(gzip.compress(b"nonsense\n" * 1000)[:20])
    with pytest.raises(InputError, match="damaged"):
        maillog.is_log(log)
    with pytest.raises(InputError, match="damaged"):
        maillog.read(log)
