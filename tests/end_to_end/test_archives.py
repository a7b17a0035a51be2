"""A whole archive, as files, mbox, Maildir and public-inbox: the same rows, also when it is killed on the way."""

import gc
import hashlib
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from sources import made

from end_to_end import database

StartDaemon = Callable[..., DaemonProcess]
KILLS = 10
LIMIT = 1800.0  # seconds for one import, on a loaded machine

KINDS: dict[str, Callable[[Path, list[bytes]], object]] = {
    "files": made.files,
    "mbox": lambda path, mails: path.write_bytes(made.mbox(mails)),
    "maildir": made.maildir,
    "inbox": lambda path, mails: made.inbox(path, [[("m", one) for one in part] for part in _halves(mails)]),
}


def _halves(mails: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    return mails[: len(mails) // 2], mails[len(mails) // 2 :]


@pytest.fixture(scope="module")
def archives(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The corpus in every form."""
    mails = [path.read_bytes() for path in sorted(corpus.iterdir())]
    place = tmp_path_factory.mktemp("archives")
    for name, make in KINDS.items():
        make(place / name, mails)
    del mails
    gc.collect()
    return {name: place / name for name in KINDS}


@pytest.fixture(scope="module")
def dumps() -> dict[str, str]:
    """The digest of the dump, by kind of archive, of those that were imported."""
    return {}


def _digest(site: DaemonProcess) -> str:
    result = site.run("dump", patience=LIMIT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(b"\n") > 16_000
    return hashlib.sha256(result.stdout).hexdigest()


def _one(url: str, query: str) -> int:
    (row,) = database.select(url, query)
    return int(row["count"])


@pytest.fixture
def fresh_url(server_url: str, template: str) -> Iterator[str]:
    """A database of its own."""
    with database.fresh(server_url, template) as url:
        yield url


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_killed_ten_times_it_gives_the_same_rows_from_every_kind_of_archive(
    archives: dict[str, Path], dumps: dict[str, str], run_alone: StartDaemon, fresh_url: str, kind: str, fuzz_seed: int
) -> None:
    rng = random.Random(f"{fuzz_seed}{kind}")
    site = run_alone(database_url=fresh_url)
    files = sum(1 for _ in archives["files"].iterdir())
    command = [*site.command, "import", str(archives[kind])]
    for moment in sorted(rng.randrange(files * 9 // 10) for _ in range(KILLS)):
        with subprocess.Popen(command, env=site.environment, stderr=subprocess.PIPE) as process:
            deadline = time.monotonic() + LIMIT
            while _one(fresh_url, "SELECT count(*) FROM ingestd.message") < moment:
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < deadline
                time.sleep(0.02)
            time.sleep(rng.uniform(0, 0.5))
            process.kill()
            process.communicate()
    result = site.run("import", str(archives[kind]), patience=LIMIT)
    assert result.returncode == 0, result.stderr[-2000:]
    # No mail is lost, and none was read twice: the place was written with the mails.
    assert _one(fresh_url, "SELECT count(*) FROM ingestd.delivery") == files
    assert _one(fresh_url, "SELECT count(*) FROM ingestd.quarantine") == 0
    dumps[kind] = _digest(site)
    assert len(set(dumps.values())) == 1, f"seed {fuzz_seed}: {dumps}"


@pytest.mark.long
def test_without_being_killed_it_gives_the_same_rows(
    archives: dict[str, Path], dumps: dict[str, str], run_alone: StartDaemon, fresh_url: str
) -> None:
    site = run_alone(database_url=fresh_url)
    result = site.run("import", "--jobs", "1", str(archives["inbox"]), patience=LIMIT)
    assert result.returncode == 0, result.stderr[-2000:]
    assert {*dumps.values(), _digest(site)} == {_digest(site)}
