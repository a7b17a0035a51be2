"""One content from any delivery: any order, repeats, parallel connections, two daemons on one database, kills between.

The pure functions take 50 orders of the same mails in tests/series/test_corpus.py. Here the whole road takes a seeded
share of them: $CONFLUENCE_ORDERS orders of each set, 8 unless it says more. Order N goes over N % 8 + 1 connections;
every second one into two daemons, and two of three with kill -9 of a daemon now and then.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from series.hardest import hardest

from end_to_end import database, made
from end_to_end.peer import Peer
from ingestd.mail.parse import parse
from ingestd.series import fact

ORDERS = int(os.environ.get("CONFLUENCE_ORDERS", "8"))
PATIENCE = 600.0  # seconds for one order
KILLS = 4

# What the dump does not say of trailers and links.
TRAILERS = """
    SELECT concat_ws('|', list_id, message_id, source_message_id, name, value, from_matches, sender_matches, reason,
                     via_message_id) AS line
    FROM ingestd_v1.trailer
"""
LINKS = """
    SELECT concat_ws('|', k.list_id, k.message_id, k.type, k.target_message_id, r.key, s.key, k.current) AS line
    FROM ingestd_v1.link k
    LEFT JOIN ingestd_v1.series r ON r.id = k.resolved_series_id
    LEFT JOIN ingestd_v1.series s ON s.id = k.series_id
"""
EVIDENCE = """
    SELECT concat_ws('|', list_id, key, supersedes_evidence, supersedes_confidence) AS line
    FROM ingestd_v1.series
"""

Content = tuple[bytes, list[list[str]]]


class Delivery:
    """Mails handed to daemons over several connections; what is not acknowledged is sent again."""

    def __init__(self, daemons: list[DaemonProcess], mails: list[bytes], connections: int) -> None:
        self._daemons = daemons
        self._queue: Iterator[bytes] = iter(mails)
        self._lock = threading.Lock()
        self._deadline = time.monotonic() + PATIENCE
        self.acknowledged = 0
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=self._deliver, args=(number,)) for number in range(connections)]

    def run(self, *, kills: int, rng: random.Random, count: int) -> None:
        """Deliver all `count` mails, killing a daemon `kills` times on the way."""
        for thread in self._threads:
            thread.start()
        for after in sorted(rng.sample(range(count), kills)):
            while self.acknowledged < after and any(thread.is_alive() for thread in self._threads):
                time.sleep(0.005)
            daemon = rng.choice(self._daemons)
            daemon.kill()
            daemon.start()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert not self.errors, self.errors
        assert self.acknowledged == count

    def _deliver(self, number: int) -> None:
        daemon = self._daemons[number % len(self._daemons)]
        peer: Peer | None = None
        while True:
            with self._lock:
                mail = next(self._queue, None)
            if mail is None or self.errors:
                break
            reply = ""
            while not reply.startswith("250"):
                if time.monotonic() > self._deadline:
                    self.errors.append(f"not taken in time: {reply}")
                    return
                try:
                    peer = peer or Peer(daemon.lmtp)
                    (reply,) = peer.send(mail)
                except OSError:  # killed
                    if peer is not None:
                        peer.close()
                    peer = None
                    time.sleep(0.02)
                    continue
                if not reply.startswith(("250", "451")):
                    self.errors.append(reply)
                    return
            with self._lock:
                self.acknowledged += 1
        if peer is not None:
            peer.close()


@pytest.fixture(scope="module")
def content_after(
    server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int | None, list[bytes]], Content]:
    """What the database holds after the mails came in the order of a seed; None: as they are, one after the other."""

    def content(seed: int | None, mails: list[bytes]) -> Content:
        rng = random.Random(seed)
        connections, daemons, kills = 1, 1, 0
        if seed is not None:
            connections, daemons, kills = seed % 8 + 1, seed % 2 + 1, KILLS if seed % 3 else 0
            mails = [*mails, *rng.sample(mails, len(mails) // 10)]
            rng.shuffle(mails)
        with database.fresh(server_url, template) as url:
            running = [
                DaemonProcess(tmp_path_factory.mktemp("confluence"), database_url=url)
                for _ in range(min(daemons, connections))
            ]
            try:
                for daemon in running:
                    daemon.start()
                Delivery(running, mails, connections).run(kills=kills, rng=rng, count=len(mails))
                result = running[0].run("dump")
                beside = [
                    sorted(row["line"] for row in database.select(url, query)) for query in (TRAILERS, LINKS, EVIDENCE)
                ]
            finally:
                for daemon in running:
                    daemon.kill()
        assert (result.returncode, result.stderr) == (0, b"")
        return result.stdout, beside

    return content


Contents = Callable[[int | None, list[bytes]], Content]


@pytest.fixture(scope="module")
def made_mails() -> list[bytes]:
    return made.deliveries(made.mailing_list())


@pytest.fixture(scope="module")
def made_content(content_after: Contents, made_mails: list[bytes]) -> Content:
    return content_after(None, made_mails)


@pytest.mark.long
def test_made_mails(content_after: Contents, made_mails: list[bytes], made_content: Content) -> None:
    """8 connections, two daemons, kills."""
    _assert_equal(content_after(7, made_mails), made_content)


@pytest.fixture(scope="module")
def run_mails(corpus: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(corpus.iterdir())[:3000]]


@pytest.fixture(scope="module")
def run_content(content_after: Contents, run_mails: list[bytes]) -> Content:
    return content_after(None, run_mails)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(ORDERS))
def test_a_run_of_3000_mails(seed: int, content_after: Contents, run_mails: list[bytes], run_content: Content) -> None:
    assert len(run_mails) == 3000
    _assert_equal(content_after(seed, run_mails), run_content)


@pytest.fixture(scope="module")
def hard_mails(corpus: Path) -> list[bytes]:
    """All mails of the 200 hardest threads of the list."""
    raws = [path.read_bytes() for path in sorted(corpus.iterdir())]
    facts = [fact.of(parse(raw)) for raw in raws]
    wanted = {one.identity for thread in hardest(facts, 200) for one in thread}
    return [raw for raw, one in zip(raws, facts, strict=True) if one.identity in wanted]


@pytest.fixture(scope="module")
def hard_content(content_after: Contents, hard_mails: list[bytes]) -> Content:
    return content_after(None, hard_mails)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(ORDERS))
def test_the_200_hardest_threads(
    seed: int, content_after: Contents, hard_mails: list[bytes], hard_content: Content
) -> None:
    _assert_equal(content_after(seed, hard_mails), hard_content)


def _assert_equal(found: Content, wanted: Content) -> None:
    """The same, line for line; the first that differ are shown, not all."""
    lines = [[content[0].decode().splitlines(), *content[1]] for content in (found, wanted)]
    for ours, theirs in zip(*lines, strict=True):
        if ours != theirs:
            gone, new = set(theirs) - set(ours), set(ours) - set(theirs)
            pytest.fail(f"{len(gone)} lines are missing, {len(new)} are new: {sorted(gone)[:2]} {sorted(new)[:2]}")
    assert b'"type":"series"' in wanted[0]
