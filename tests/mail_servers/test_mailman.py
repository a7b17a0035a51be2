"""A list of Mailman 3 with the ingest address as a member, Postfix behind it, and us behind that."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from end_to_end import database
from end_to_end.peer import Peer
from mails import series

from mail_servers import recipe
from mail_servers.conftest import Builder, Site, free_port

LIST = "qemu-devel@lists.example.org"
USER = "list"  # Mailman does not like to be root
PATIENCE = 60.0  # seconds

CONFIG = """\
[mailman]
layout: here
site_owner: root@example.org
[paths.here]
var_dir: {place}/var
bin_dir: /usr/lib/mailman3/bin
[database]
class: mailman.database.sqlite.SQLiteDatabase
url: sqlite:///{place}/mailman.db
[mta]
incoming: mailman.mta.null.NullMTA
outgoing: mailman.mta.deliver.deliver
smtp_host: 127.0.0.1
smtp_port: {smtp}
lmtp_host: 127.0.0.1
lmtp_port: {lmtp}
[webservice]
port: {rest}
"""


class Mailman:
    """One instance with one list."""

    def __init__(self, directory: Path, smtp: int) -> None:
        self.lmtp = ("127.0.0.1", free_port())
        self._place = directory / "mailman"
        self._place.mkdir()
        self._config = self._place / "mailman.cfg"
        self._config.write_text(
            CONFIG.format(place=self._place, smtp=smtp, lmtp=self.lmtp[1], rest=free_port()), encoding="ascii"
        )
        for path in (self._place, self._config):
            shutil.chown(path, USER, USER)

    def run(self, command: str) -> str:
        """Run a shell command in which `mailman` is this one."""
        done = subprocess.run(
            ["sh", "-c", re.sub(r"\bmailman\b", f"mailman -C {self._config}", command)],
            user=USER,
            group=USER,
            extra_groups=[],
            cwd=self._place,
            env={"PATH": os.environ["PATH"], "HOME": str(self._place)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "can't open file" not in done.stderr, done.stderr
        return done.stdout

    def wait_ready(self) -> None:
        """Wait until it takes mail."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with socket.create_connection(self.lmtp, timeout=5) as connection:
                    if connection.recv(3) == b"220":
                        return
            except OSError:
                assert time.monotonic() < deadline, self.run("cat var/logs/*.log")
            time.sleep(0.1)

    def wait_stopped(self) -> None:
        """Wait until all its processes have ended."""
        deadline = time.monotonic() + PATIENCE
        while "not running" not in self.run("mailman status || true"):
            assert time.monotonic() < deadline
            time.sleep(0.5)


@pytest.fixture
def site(builder: Builder) -> Site:
    if shutil.which("mailman") is None:
        pytest.skip("Mailman is not installed")
    return builder.build("Postfix")


@pytest.fixture
def mailman(site: Site, builder: Builder) -> Iterator[Mailman]:
    """A list whose only member with delivery is the ingest address; Ann may write there."""
    mailman = Mailman(builder.directory, site.server.port)
    mailman.run(f"mailman create {LIST}")
    mailman.run(recipe.command("Mailman 3", "mailman addmembers"))
    mailman.run(f"echo ann@example.org | mailman addmembers --no-welcome-msg --delivery disabled - {LIST}")
    mailman.run("mailman start >start.log 2>&1")  # its runners must not hold our pipe open
    try:
        mailman.wait_ready()
        yield mailman
    finally:
        mailman.run("mailman stop")
        mailman.wait_stopped()


@pytest.mark.long
def test_what_a_list_sends_is_the_mail_that_was_posted(site: Site, mailman: Mailman) -> None:
    """Subject tag, footer, List-Id and all that Mailman adds make no other mail of it."""
    mails = [
        raw.replace(b"List-Id: The list <demo.example.org>\n", f"To: {LIST}\n".encode()) for raw in series("x.1", 3)
    ]
    with Peer(mailman.lmtp) as peer:
        for raw in mails:
            assert peer.send(raw, [LIST], "ann@example.org")[0].startswith("250")
    deadline = time.monotonic() + PATIENCE
    query = "SELECT list_id, envelope_from, recipients, queue_id, repeat FROM ingestd_v1.delivery ORDER BY id"
    while len(rows := database.select(site.database_url, query)) < len(mails):
        assert time.monotonic() < deadline, site.server.read_log() + mailman.run("cat var/logs/*.log")
        time.sleep(0.2)
    assert {(row["list_id"], row["envelope_from"], *row["recipients"]) for row in rows} == {
        ("qemu-devel.nongnu.org", "qemu-devel-bounces@lists.example.org", "qemu-devel@ingest.example.org")
    }
    headers = database.select(site.database_url, "SELECT headers::text FROM ingestd_v1.message")
    assert all("<qemu-devel.lists.example.org>" in row["headers"] for row in headers)
    # The same mails as they were written are repeats of those.
    with Peer(site.daemon.lmtp) as peer:
        for raw in mails:
            assert peer.send(raw, ["qemu-devel@ingest.example.org"])[0].startswith("250")
    rows = database.select(site.database_url, query)
    assert [row["repeat"] for row in rows] == [False] * 4 + [True] * 4
    (found,) = database.select(site.database_url, "SELECT received, total, complete FROM ingestd_v1.series")
    assert found == {"received": 3, "total": 3, "complete": True}
