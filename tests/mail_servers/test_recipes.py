"""Each recipe of docs/mail-servers.md with the real server: mail arrives whole, waits while it must, none bounces."""

import time

import pytest
from daemon_process import DaemonProcess
from end_to_end import database
from end_to_end.peer import Peer, crlf
from mails import diff, mail, patch, series

from mail_servers.conftest import Builder, Site

QEMU, ASPEED = "qemu-devel@ingest.example.org", "linux-aspeed@ingest.example.org"
RECIPES = (
    "Postfix",
    "Exim",
    *(
        pytest.param(section, marks=pytest.mark.long)
        for section in (
            "Postfix with a unix socket",
            "Exim over TCP",
            "Exim with a pipe",
            "Any other server with a pipe",
        )
    ),
)
# What a mail server could do harm to.
ODD = [
    patch("long-line@x", "[PATCH] a long line", new="x" * 5000 + "\n+y"),
    mail("dots@x", "dots", ".\n..\n.x\nFrom here\n>From there\n.\n"),
    mail("eight@x", "[PATCH] Ünïcode", "Grüße.\n---\n" + diff(new="Tschüß"), headers=[("X-Odd", "ä")]),
    mail("latin@x", "latin", "x\n").replace(b"x\n", b"\xe9\xff\n"),
    mail("blanks@x", "blanks", "one \n\n\ttwo\t\n\n\n"),
    patch("long-header@x", "[PATCH] " + "word " * 300),
]


@pytest.fixture(params=RECIPES)
def site(request: pytest.FixtureRequest, builder: Builder) -> Site:
    """One of the recipes, running."""
    return builder.build(request.param)


def _give(site: Site, mails: list[bytes], recipients: list[str], sender: str = "bounces@lists.example.org") -> None:
    """Hand mails to the mail server, as the list's server does."""
    with Peer(("127.0.0.1", site.server.port), protocol="smtp") as peer:
        for written in mails:
            (reply,) = peer.send(written, recipients, sender, " BODY=8BITMIME")
            assert reply.startswith("250"), reply


def _outcomes(site: Site) -> set[str]:
    return {status for _, _, status in site.server.statuses()}


def test_mail_arrives_whole_and_waits_while_the_daemon_is_away(site: Site) -> None:
    first, later = [*series("2026110210.1", 2), *ODD], series("2026110211.1", 2, title="later")
    _give(site, first, [QEMU])
    _give(site, [mail("both@x", "both")], [QEMU, ASPEED], sender="")
    site.server.wait_empty()
    assert _outcomes(site) == {"sent"}

    site.daemon.kill()
    _give(site, later[:2], [QEMU])
    _wait_for(site, {"deferred"})
    site.daemon.start()
    site.server.wait_empty()

    name, other = database.name_of(site.database_url), database.named(site.database_url, "postgres")
    database.execute(
        other,
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )
    before = len(site.server.statuses())
    _give(site, later[2:], [QEMU])
    _wait_for(site, {"deferred"}, before)
    database.execute(other, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    site.server.wait_empty()
    assert _outcomes(site) == {"sent", "deferred"}

    rows = database.select(
        site.database_url,
        "SELECT message_id, list_id, envelope_from, recipients, queue_id, repeat FROM ingestd_v1.delivery",
    )
    assert len(rows) == len(first) + 2 + len(later), site.server.read_log()
    assert {row["envelope_from"] for row in rows} == {"bounces@lists.example.org", ""}
    assert sorted((row["list_id"], *row["recipients"]) for row in rows if row["message_id"] == "both@x") == [
        ("linux-aspeed.lists.ozlabs.org", ASPEED),
        ("qemu-devel.nongnu.org", QEMU),
    ]
    assert not any(row["repeat"] for row in rows)
    # One id from the log of the mail server to the row.
    assert {row["queue_id"] for row in rows} == {id_ for id_, _, _ in site.server.statuses()}
    _check_bytes(site.daemon, first)
    _check_audit(site, len(first) + 1 + len(later))


def _check_audit(site: Site, count: int) -> None:
    """The server's own log says that all of it is here, and would say what is not."""
    arguments = ["audit", "--against", str(site.server.log)]
    for more in ([], ["--recipient", "*@ingest.example.org"]):
        done = site.daemon.run(*arguments, *more)
        assert (done.returncode, done.stdout) == (0, b""), done.stdout
        if more or "250 2.0.0 Stored" in site.server.read_log():
            assert done.stderr == f"all {count} mails are here\n".encode()
    lost = "(SELECT min(queue_id) FROM ingestd.delivery)"
    database.execute(site.database_url, f"UPDATE ingestd.delivery SET queue_id = 'LOST' WHERE queue_id = {lost}")
    done = site.daemon.run(*arguments, "--recipient", "*@ingest.example.org")
    assert (done.returncode, done.stdout.count(b"\n")) == (65, 1), done.stdout


def _wait_for(site: Site, any_of: set[str], start: int = 0) -> None:
    """Wait until one of these outcomes is in the server's log, from line `start` on."""
    deadline = time.monotonic() + 60
    while not any_of & {status for _, _, status in site.server.statuses()[start:]}:
        assert time.monotonic() < deadline, site.server.read_log()
        time.sleep(0.1)


def _check_bytes(daemon: DaemonProcess, mails: list[bytes]) -> None:
    """The mails as the server was given them, below the headers that it added on top."""
    for written in mails:
        id_ = written.partition(b"Message-ID: <")[2].partition(b">")[0].decode()
        exported = daemon.run("export", "--raw", id_)
        assert exported.returncode == 0, exported.stderr
        assert exported.stdout.endswith(crlf(written)), id_


def test_postfix_refuses_unknown_recipients_itself(builder: Builder) -> None:
    site = builder.build("Postfix")
    with Peer(("127.0.0.1", site.server.port), protocol="smtp") as peer:
        replies = peer.begin([QEMU, "nobody@ingest.example.org"], "x@example.org")
    assert [reply[:9] for reply in replies] == ["250 2.1.5", "550 5.1.1"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("Postfix", ("lmtp_line_length_limit=0", "lmtp_line_length_limit=998")),
        ("Exim over TCP", ("message_linelength_limit = 1G", "message_linelength_limit = 998")),
    ],
)
def test_without_the_line_limit_a_patch_is_lost(builder: Builder, section: str, change: tuple[str, str]) -> None:
    """What the page warns of is so."""
    site = builder.build(section, dict([change]))
    _give(site, ODD[:1], [QEMU])
    _wait_for(site, {"sent", "bounced"})
    rows = database.select(site.database_url, "SELECT diff FROM ingestd_v1.patch")
    if section == "Postfix":
        assert ["x" * 5000 in row["diff"] for row in rows] == [False]
    else:
        assert rows == []
        assert "bounced" in _outcomes(site)
