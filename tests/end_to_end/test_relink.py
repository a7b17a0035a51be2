"""A human's word, trailers and stalled series as people meet them: over the commands and the running daemon."""

import re
import time
from collections.abc import Callable
from email.utils import formatdate

from daemon_process import DaemonProcess
from mails import patch, reply, series

from end_to_end import database
from end_to_end.conftest import MailingList
from end_to_end.peer import deliver

FIRST = series("20261102100000.1", 2, title="First")
COVER, ONE, TWO = (f"20261102100000.1-{number}-ann@example.org" for number in range(3))


def _relink(mailing_list: MailingList, *arguments: str) -> tuple[int, str, str]:
    result = mailing_list.daemon.run("relink", "--list", mailing_list.id, *arguments)
    return result.returncode, result.stdout.decode(), result.stderr.decode()


def _send(mailing_list: MailingList, *mails: bytes) -> None:
    deliver(mailing_list.daemon.lmtp, list(mails), [mailing_list.address])


def test_relink_moves_a_mail_while_the_daemon_runs_and_undo_takes_it_back(mailing_list: MailingList) -> None:
    stray = patch("stray@example.com", "[PATCH] the rest", author="Bob <bob@example.com>", file="part2.c")
    _send(mailing_list, *FIRST[:2], stray)
    before = mailing_list.dump()
    code, said, errors = _relink(mailing_list, "stray@example.com", "--series", COVER)
    assert (code, errors) == (0, "")
    assert f"series: {COVER}: " in said
    explained = mailing_list.daemon.run("explain", "--list", mailing_list.id, "stray@example.com").stdout.decode()
    assert "(somebody said so (ingestd relink))" in explained
    _send(mailing_list, stray)  # a repeat changes nothing
    _send(mailing_list, reply("zoe@example.com", "stray@example.com", "[PATCH] the rest", "Hm.\n"))
    assert f'"series":"{COVER}"' in next(
        line for line in mailing_list.dump().decode().splitlines() if '"key":"stray@example.com"' in line
    )
    assert _relink(mailing_list, "stray@example.com", "--undo")[0] == 0
    after = [line for line in mailing_list.dump().splitlines() if b'"key":"zoe@example.com"' not in line]
    assert after == before.splitlines()


def test_relink_says_what_is_wrong(mailing_list: MailingList) -> None:
    _send(mailing_list, *FIRST, reply("ok@example.com", COVER, "[PATCH 0/2] First", "Fine.\n"))
    assert _relink(mailing_list, "nobody@example.org", "--alone")[::2] == (
        65,
        f"ingestd: nobody@example.org: no such mail on {mailing_list.id}\n",
    )
    assert _relink(mailing_list, ONE, "--series", "nothing@example.org")[::2] == (
        65,
        "ingestd: nothing@example.org: no series has this key on the mail's list\n",
    )
    assert _relink(mailing_list, "ok@example.com", "--series", COVER)[0] == 65
    assert _relink(mailing_list, ONE, "--undo")[::2] == (65, "ingestd: nothing was said of this mail\n")
    assert _relink(mailing_list, ONE)[0] == 64
    assert _relink(mailing_list, ONE, "--alone", "--undo")[0] == 64


def test_trailers_of_others_are_named_and_left_out(mailing_list: MailingList) -> None:
    good = "Reviewed-by: Rob Reviewer <rob@example.com>"
    forged = "Acked-by: Mia Maintainer <mia@example.net>"
    _send(mailing_list, *FIRST, reply("r@example.com", ONE, "[PATCH 1/2] First", f"{good}\n{forged}\n"))
    result = mailing_list.daemon.run("export", "--list", mailing_list.id, "--trailers", ONE)
    assert result.returncode == 0
    assert f"{good}\n---\n".encode() in result.stdout
    assert forged.encode() not in result.stdout
    assert result.stderr.decode() == f"ingestd: left out, not by its sender: {forged} (in r@example.com)\n"


def test_a_stalled_series_is_said_once_by_two_daemons(
    start_daemon: Callable[..., DaemonProcess], database_url: str
) -> None:
    config = "[series]\nstalled_after = 0.5\n"
    daemons = [start_daemon(database_url=database_url, config=config) for _ in range(2)]
    today = f"Date: {formatdate()}".encode()  # nobody waits for the rest of an archive
    deliver(daemons[0].lmtp, [re.sub(rb"^Date: .*", today, mail, flags=re.MULTILINE) for mail in FIRST[:2]])
    query = "SELECT count(*) AS said FROM ingestd_v1.event WHERE category = 'series-stalled'"
    deadline = time.monotonic() + 30
    while database.select(database_url, query)[0]["said"] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(2)
    assert database.select(database_url, query)[0]["said"] == 1
    assert [daemon.terminate() for daemon in daemons] == [0, 0]
