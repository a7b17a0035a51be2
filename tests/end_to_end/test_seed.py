"""A real patch of qemu-devel reads as Patchwork reads it, in every field."""

import hashlib
import json
from email import message_from_bytes
from email.policy import compat32
from pathlib import Path
from typing import Any

import pytest

from end_to_end.conftest import MailingList
from end_to_end.peer import Address, Peer, crlf, deliver


@pytest.fixture
def seed(shared: Path) -> tuple[bytes, dict[str, Any]]:
    """The mail, and what Patchwork's API says of it."""
    mail = (shared / "seed/patch-2221182.eml").read_bytes()
    return mail, json.loads((shared / "seed/patch-2221182.json").read_text(encoding="utf-8"))


def test_every_field_is_patchworks(mailing_list: MailingList, seed: tuple[bytes, dict[str, Any]]) -> None:
    mail, wanted = seed
    deliver(mailing_list.daemon.lmtp, [mail], [mailing_list.address])

    (patch,) = mailing_list.select("SELECT * FROM ingestd_v1.patch WHERE list_id = $1")
    (message,) = mailing_list.select("SELECT * FROM ingestd_v1.message WHERE list_id = $1")
    assert patch["name"] == wanted["name"] == "[09/14] migration: Move iteration counter out of RAM"
    assert patch["prefixes"] == wanted["prefixes"] == ["09/14"]
    assert patch["hash"] == wanted["hash"] == "0cab4d58668c187508ec922e49742d08f3f923ae"
    assert patch["content"] == wanted["content"]
    assert patch["diff"] == wanted["diff"]
    assert (patch["number"], patch["total"], patch["version"]) == (9, 14, wanted["series"][0]["version"])
    assert f"<{message['message_id']}>" == wanted["msgid"]
    assert f"{message['date']:%Y-%m-%dT%H:%M:%S}" == wanted["date"]
    assert (message["author_name"], message["author_email"]) == (
        wanted["submitter"]["name"],
        wanted["submitter"]["email"],
    )


def test_the_headers_stand_as_sent(mailing_list: MailingList, seed: tuple[bytes, dict[str, Any]]) -> None:
    """In order, with repeats; against Python's own parser and against Patchwork's grouping by name."""
    mail, wanted = seed
    deliver(mailing_list.daemon.lmtp, [mail], [mailing_list.address])
    (message,) = mailing_list.select("SELECT headers FROM ingestd_v1.message WHERE list_id = $1")
    headers = [(name, value) for name, value in json.loads(message["headers"])]
    sent = message_from_bytes(mail, policy=compat32).items()
    assert [name for name, _ in headers] == [name for name, _ in sent]
    assert [value.split() for _, value in headers] == [str(value).split() for _, value in sent]
    assert len({name for name, _ in headers}) < len(headers), "the seed has repeated headers"
    for name, value in wanted["headers"].items():
        values = value if isinstance(value, list) else [value]
        assert [found.split() for own, found in headers if own == name] == [one.split() for one in values], name


@pytest.mark.parametrize("protocol", ["lmtp", "smtp", "socket"])
def test_the_bytes_are_kept(mailing_list: MailingList, seed: tuple[bytes, dict[str, Any]], protocol: str) -> None:
    mail, _ = seed
    daemon = mailing_list.daemon
    addresses: dict[str, Address] = {"lmtp": daemon.lmtp, "smtp": daemon.smtp, "socket": str(daemon.lmtp_socket)}
    with Peer(addresses[protocol], protocol="smtp" if protocol == "smtp" else "lmtp") as peer:
        (reply,) = peer.send(mail, [mailing_list.address], sender="bounces@example.org")
    assert reply.startswith("250")
    sent = crlf(mail)
    (delivery,) = mailing_list.select("SELECT * FROM ingestd_v1.delivery WHERE list_id = $1")
    assert (delivery["raw_sha256"], delivery["raw_size"]) == (hashlib.sha256(sent).hexdigest(), len(sent))
    assert (delivery["envelope_from"], delivery["recipients"]) == ("bounces@example.org", [mailing_list.address])
    assert delivery["repeat"] is False
    assert mailing_list.export(delivery["message_id"], "--raw") == sent


def test_twice_is_one_mail_and_two_deliveries(mailing_list: MailingList, seed: tuple[bytes, dict[str, Any]]) -> None:
    mail, _ = seed
    deliver(mailing_list.daemon.lmtp, [mail], [mailing_list.address])
    once = mailing_list.dump()
    deliver(mailing_list.daemon.lmtp, [mail, mail], [mailing_list.address])
    assert mailing_list.dump() == once
    deliveries = mailing_list.select("SELECT repeat FROM ingestd_v1.delivery WHERE list_id = $1 ORDER BY id")
    assert [delivery["repeat"] for delivery in deliveries] == [False, True, True]
