"""Which list a mail belongs to, and what is refused."""

from collections.abc import Callable

from daemon_process import DaemonProcess
from mails import mail, patch

from end_to_end import database
from end_to_end.peer import Peer

CONFIG = """
[mail]
unknown_list = "{unknown}"

[[lists]]
id = "One.Example.org"
name = "The first"
address = "one@example.org"
recipients = ["one@example.org", "one+*@example.org"]
former_ids = ["one.old.example.com"]

[[lists]]
id = "two.example.org"
recipients = ["two@example.org", "*@two.example.org"]
"""

BY_ID = """
[[lists]]
id = "one.example.org"
former_ids = ["one.old.example.com"]
"""

ROWS = "SELECT list_id, message_id FROM ingestd_v1.message ORDER BY list_id, message_id"

StartDaemon = Callable[..., DaemonProcess]


def _rows(url: str) -> list[tuple[str, str]]:
    return [(row["list_id"], row["message_id"]) for row in database.select(url, ROWS)]


def test_recipients_say_the_list(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url, config=CONFIG.format(unknown="keep"))
    with Peer(daemon.lmtp) as peer:
        for recipient in ("One@Example.ORG", "one+tag@example.org", "anybody@TWO.example.org"):
            # The List-Id says another list; the recipient's word counts more.
            written = patch(f"{recipient.lower()}", "[PATCH] x", list_id="elsewhere.example.net")
            assert [reply[:3] for reply in peer.send(written, [recipient])] == ["250"]
        for recipient in ("three@example.org", "one@example.org.evil.net", "xone@example.org", "one+@example.com"):
            peer.ask("RSET")
            assert [reply[:9] for reply in peer.begin([recipient])] == ["550 5.1.1"]
    assert _rows(database_url) == [
        ("one.example.org", "one+tag@example.org"),
        ("one.example.org", "one@example.org"),
        ("two.example.org", "anybody@two.example.org"),
    ]
    named = database.select(database_url, "SELECT * FROM ingestd_v1.list ORDER BY list_id")
    assert [(row["list_id"], row["name"], row["address"]) for row in named] == [
        ("one.example.org", "The first", "one@example.org"),
        ("two.example.org", None, None),
        # The list of lost mail is there when the first such mail is.
    ]


def test_a_mail_for_two_lists_is_a_row_in_each(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url, config=CONFIG.format(unknown="keep"))
    with Peer(daemon.lmtp) as peer:
        recipients = ["one@example.org", "nobody@example.org", "two@example.org", "one+more@example.org"]
        replies = peer.begin(recipients)
        assert [reply[:3] for reply in replies] == ["250", "550", "250", "250"]
        peer.write(patch("cross@example.org", "[PATCH] to both").replace(b"\n", b"\r\n") + b".\r\n")
        assert [peer.reply()[:3] for _ in range(3)] == ["250"] * 3
    assert _rows(database_url) == [("one.example.org", "cross@example.org"), ("two.example.org", "cross@example.org")]
    deliveries = database.select(database_url, "SELECT * FROM ingestd_v1.delivery ORDER BY list_id")
    assert [(row["list_id"], row["recipients"]) for row in deliveries] == [
        ("one.example.org", ["one@example.org", "one+more@example.org"]),
        ("two.example.org", ["two@example.org"]),
    ]
    assert len(database.select(database_url, "SELECT FROM ingestd_v1.series")) == 2


def test_list_ids_and_former_ones(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url, config=BY_ID)
    with Peer(daemon.lmtp) as peer:
        for id_, list_id in (
            ("now@x", "one.example.org"),
            ("shouted@x", "ONE.Example.ORG"),
            ("before@x", "one.old.example.com"),
            ("forged@x", "made-up.example.net"),
            ("none@x", None),
        ):
            assert peer.send(mail(id_, "x", list_id=list_id), ["whoever@example.org"])[0].startswith("250")
    assert _rows(database_url) == [
        ("one.example.org", "before@x"),
        ("one.example.org", "now@x"),
        ("one.example.org", "shouted@x"),
        ("unrouted", "forged@x"),
        ("unrouted", "none@x"),
    ]


def test_without_configuration_the_list_id_makes_the_list(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url)
    with Peer(daemon.smtp, protocol="smtp") as peer:
        assert peer.send(mail("a@x", "x", list_id="Any.Example.org"))[0].startswith("250")
        assert peer.send(mail("b@x", "x", list_id=None))[0].startswith("250")
    assert _rows(database_url) == [("any.example.org", "a@x"), ("unrouted", "b@x")]


def test_unknown_lists_can_be_refused(start_daemon: StartDaemon, database_url: str) -> None:
    config = 'mail.unknown_list = "refuse"\n' + BY_ID
    daemon = start_daemon(database_url=database_url, config=config)
    for protocol, address in (("lmtp", daemon.lmtp), ("smtp", daemon.smtp)):
        with Peer(address, protocol=protocol) as peer:
            (reply,) = peer.send(mail("refused@x", "x", list_id="made-up.example.net"))
            assert reply.startswith("550 5.7.1")
            (reply,) = peer.send(mail(f"{protocol}@x", "x", list_id="one.example.org"))
            assert reply.startswith("250")
    assert _rows(database_url) == [("one.example.org", "lmtp@x"), ("one.example.org", "smtp@x")]
    assert database.select(database_url, "SELECT FROM ingestd_v1.quarantine") == []


def test_import_counts_what_it_refuses(run_alone: StartDaemon, database_url: str) -> None:
    daemon = run_alone(database_url=database_url, config='mail.unknown_list = "refuse"\n' + BY_ID)
    mbox = b"".join(
        b"From x@y Mon Sep 17 00:00:00 2001\n" + mail(id_, "x", list_id=list_id) + b"\n"
        for id_, list_id in (("in@x", "one.example.org"), ("out@x", "other.example.org"))
    )
    result = daemon.run("import", "-", stdin=mbox)
    assert result.returncode == 0
    assert b"imported: 2 read, 1 new, 0 repeats, 0 quarantined, 1 refused" in result.stderr
    assert _rows(database_url) == [("one.example.org", "in@x")]
    # The operator's word counts more than the mail's.
    result = daemon.run("import", "--list", "one.example.org", "-", stdin=mbox)
    assert b"imported: 2 read, 1 new, 1 repeats, 0 quarantined, 0 refused" in result.stderr


def test_what_a_trusted_host_found_out_stands_beside_the_delivery(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url, config='mail.authserv_ids = ["MX.example.org"]')
    hop = ("Received", "from list.example.com by mx.example.org with ESMTP id 4Abc; Mon, 2 Nov 2026 10:00:00 +0000")
    forged = ("Authentication-Results", "mx.example.org; dkim=pass header.d=kernel.org")
    with Peer(daemon.lmtp) as peer:
        checked = ("Authentication-Results", "mx.example.org;\n dkim=pass (ok) header.d=example.com;\n spf=softfail")
        peer.send(mail("checked@x", "Checked", headers=[hop, checked, ("Received", "from y by x"), forged]))
        peer.send(mail("claimed@x", "Claimed", headers=[("Authentication-Results", "list.example.com; dkim=pass")]))
    rows = database.select(database_url, "SELECT message_id, authentication FROM ingestd_v1.delivery ORDER BY id")
    assert [(row["message_id"], row["authentication"]) for row in rows] == [
        ("checked@x", ["mx.example.org; dkim=pass header.d=example.com", "mx.example.org; spf=softfail"]),
        ("claimed@x", []),
    ]
