"""The database is a function of the mails: any order, repetition and parallelism gives the same dump."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from daemon_process import DaemonProcess

from end_to_end import database, made
from end_to_end.peer import deliver

CONNECTIONS = 8

Mails = list[bytes]
Load = Callable[[DaemonProcess, Path, Mails], None]


def _import(daemon: DaemonProcess, directory: Path, mails: Mails) -> None:
    into = directory / f"mails{len(list(directory.iterdir()))}"
    into.mkdir()
    for number, mail in enumerate(mails):
        (into / f"{number:06}.eml").write_bytes(mail)
    result = daemon.run("import", str(into))
    assert result.returncode == 0, result.stderr
    assert f"imported: {len(mails)} read".encode() in result.stderr, result.stderr
    assert b" 0 quarantined, 0 refused" in result.stderr, result.stderr


def _in_order(daemon: DaemonProcess, directory: Path, mails: Mails) -> None:
    _import(daemon, directory, mails)


def _in_reverse(daemon: DaemonProcess, directory: Path, mails: Mails) -> None:
    _import(daemon, directory, mails[::-1])


def _shuffled(seed: int) -> Load:
    def load(daemon: DaemonProcess, directory: Path, mails: Mails) -> None:
        shuffled = list(mails)
        random.Random(seed).shuffle(shuffled)
        _import(daemon, directory, shuffled)

    return load


def _twice(daemon: DaemonProcess, directory: Path, mails: Mails) -> None:
    _import(daemon, directory, mails)
    _import(daemon, directory, mails[::-1])


def _in_parallel(daemon: DaemonProcess, _directory: Path, mails: Mails) -> None:
    daemon.start()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda number: deliver(daemon.lmtp, mails[number::CONNECTIONS]), range(CONNECTIONS)))
    assert daemon.terminate() == 0, daemon.read_log()


def _one_by_one(daemon: DaemonProcess, _directory: Path, mails: Mails) -> None:
    """Each in a transaction of its own, so that regrouping runs after every single mail."""
    daemon.start()
    deliver(daemon.lmtp, mails[::-1])
    assert daemon.terminate() == 0, daemon.read_log()


LOADS: dict[str, Load] = {
    "in reverse": _in_reverse,
    "shuffled 1": _shuffled(1),
    "shuffled 2": _shuffled(2),
    "shuffled 3": _shuffled(3),
    "twice over": _twice,
    "8 connections": _in_parallel,
}


@pytest.fixture(scope="module")
def dump_after(
    server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Load, Mails], bytes]:
    """What `ingestd dump` says of a fresh database after `load` put the mails there."""

    def dump(load: Load, mails: Mails) -> bytes:
        directory = tmp_path_factory.mktemp("order")
        with database.fresh(server_url, template) as url:
            daemon = DaemonProcess(directory, database_url=url)
            try:
                load(daemon, directory, mails)
                result = daemon.run("dump")
            finally:
                daemon.kill()
        assert (result.returncode, result.stderr) == (0, b"")
        return result.stdout

    return dump


@pytest.fixture(scope="module")
def made_dump(dump_after: Callable[[Load, Mails], bytes]) -> bytes:
    return dump_after(_in_order, made.deliveries(made.mailing_list()))


def test_made_mails_are_what_they_should_be(made_dump: bytes) -> None:
    """The dump that the others are compared with says something."""
    mails = made.mailing_list()
    assert made_dump.count(b'"type":"message"') == len(mails)
    assert made_dump.count(b'"type":"series"') == 20
    assert made_dump.count(b'"supersedes":"') >= 7
    assert b'"author":"Ann Author via' not in made_dump


@pytest.mark.parametrize("road", ["in reverse", "shuffled 1", "twice over", "8 connections", "one by one"])
def test_made_mails_in_any_order(road: str, made_dump: bytes, dump_after: Callable[[Load, Mails], bytes]) -> None:
    load = LOADS.get(road, _one_by_one)
    _assert_equal(dump_after(load, made.deliveries(made.mailing_list())), made_dump)


@pytest.fixture(scope="module")
def corpus_mails(corpus: Path) -> Mails:
    return [path.read_bytes() for path in sorted(corpus.iterdir())[:3000]]


@pytest.fixture(scope="module")
def corpus_dump(corpus_mails: Mails, dump_after: Callable[[Load, Mails], bytes]) -> bytes:
    return dump_after(_in_order, corpus_mails)


@pytest.mark.long
@pytest.mark.parametrize("road", LOADS)
def test_real_mails_in_any_order(
    road: str, corpus_mails: Mails, corpus_dump: bytes, dump_after: Callable[[Load, Mails], bytes]
) -> None:
    assert len(corpus_mails) == 3000
    _assert_equal(dump_after(LOADS[road], corpus_mails), corpus_dump)


def _assert_equal(found: bytes, wanted: bytes) -> None:
    """Byte for byte; the first lines that differ are shown, not all."""
    if found != wanted:
        differing = [pair for pair in zip(found.splitlines(), wanted.splitlines(), strict=False) if pair[0] != pair[1]]
        pytest.fail(f"{len(differing)} lines differ, {len(found)} and {len(wanted)} bytes, first: {differing[:2]}")
