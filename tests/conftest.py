"""What all tests share: a PostgreSQL of their own, a fresh database each, the real daemon, the corpus where it is."""

import asyncio
import os
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from daemon_process import DaemonProcess
from mail.corpus import unpack
from scratch import open_directory, remove_left_over
from sqlalchemy import make_url

from ingestd.postgres import Postgres
from ingestd.store import migrate
from ingestd.store.engine import Database

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
TEMPLATE = "ingestd_template"

# What the environment tells an ingestd must not reach the ones under test.
SERVER_URL = os.environ.get("INGESTD_TEST_DATABASE_URL")
FUZZ_SECONDS = float(os.environ.get("INGESTD_FUZZ_SECONDS", "60"))
FUZZ_SEED = int(os.environ.get("INGESTD_FUZZ_SEED") or random.SystemRandom().randrange(1 << 32))
for _name in list(os.environ):
    if _name.startswith(("INGESTD_", "LISTEN_")) or _name in {
        "CREDENTIALS_DIRECTORY",
        "NOTIFY_SOCKET",
        "STATE_DIRECTORY",
    }:
        del os.environ[_name]


@pytest.fixture(scope="session")
def fuzz_seconds() -> float:
    """How long fuzzing may take: $INGESTD_FUZZ_SECONDS."""
    return FUZZ_SECONDS


@pytest.fixture(scope="session")
def fuzz_seed() -> int:
    """What random mails come from: $INGESTD_FUZZ_SEED, else another one each run."""
    return FUZZ_SEED


@pytest.fixture
def data_directory() -> Iterator[Path]:
    """An empty directory that PostgreSQL's user may enter, also when root runs the tests. Its path is short."""
    with open_directory() as directory:
        yield directory


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A database of a server where we may create others: $INGESTD_TEST_DATABASE_URL, or a server for this run."""
    if SERVER_URL is not None:
        yield SERVER_URL
        return
    remove_left_over()
    with open_directory() as directory:
        # Nothing here has to survive a crash; tests of that run a daemon with a server of its own.
        server = Postgres(directory, settings={"fsync": "off", "full_page_writes": "off", "max_connections": "200"})
        asyncio.run(server.start())
        yield server.url
        asyncio.run(server.stop())


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """The name of a database with our schema, which `database_url` copies."""
    name = f"{TEMPLATE}_{uuid4().hex[:8]}"
    asyncio.run(_execute(server_url, f"CREATE DATABASE {name}"))
    asyncio.run(_migrate(_named(server_url, name)))
    yield name
    asyncio.run(_execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """The URL of a fresh database with our schema."""
    yield from _database(server_url, template)


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """The URL of a fresh database with nothing in it."""
    yield from _database(server_url, "template0")


@pytest.fixture
def start_daemon(tmp_path: Path, data_directory: Path) -> Iterator[Callable[..., DaemonProcess]]:
    """Start `ingestd serve`, with the arguments of DaemonProcess but the directory; killed when the test ends."""
    assert data_directory.exists(), "it goes after the daemons that may have data there"
    daemons: list[DaemonProcess] = []

    def start(
        *,
        database_url: str | None = None,
        data_directory: Path | None = None,
        config: str | None = None,
        environment: Mapping[str, str] | None = None,
        monitored: bool = False,
    ) -> DaemonProcess:
        directory = tmp_path / f"daemon{len(daemons)}"
        directory.mkdir()
        daemon = DaemonProcess(
            directory,
            database_url=database_url,
            data_directory=data_directory,
            config=config,
            environment=environment,
            monitored=monitored,
        )
        daemons.append(daemon)
        daemon.start()
        return daemon

    yield start
    for daemon in daemons:
        daemon.kill()


@pytest.fixture
def run_alone(tmp_path: Path, data_directory: Path) -> Iterator[Callable[..., DaemonProcess]]:
    """Make a daemon that is not started, with the arguments of DaemonProcess but the directory."""
    assert data_directory.exists(), "it goes after the daemons that may have data there"
    made: list[DaemonProcess] = []

    def make(**arguments: object) -> DaemonProcess:
        directory = tmp_path / f"alone{len(made)}"
        directory.mkdir()
        made.append(DaemonProcess(directory, **arguments))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for daemon in made:
        daemon.kill()


@pytest.fixture
def daemon(start_daemon: Callable[..., DaemonProcess], database_url: str) -> DaemonProcess:
    """The real daemon on a fresh database, ready for mail."""
    return start_daemon(database_url=database_url)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real mail beside the checkout, which is no part of the project."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real mail in {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def corpus(shared: Path) -> Path:
    """The 16,945 mails of linux-aspeed, one file each, unpacked once per machine."""
    archive = shared / "corpus/linux-aspeed.tar.xz"
    if not archive.exists():
        pytest.skip(f"needs {archive}")
    return unpack(archive)


def _database(server_url: str, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex[:12]}"
    # Copying files is several times faster here than writing them through the log.
    asyncio.run(_execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    yield _named(server_url, name)
    asyncio.run(_execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


def _named(server_url: str, name: str) -> str:
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _migrate(url: str) -> None:
    database = Database(url)
    try:
        await migrate.upgrade(database)
    finally:
        await database.close()
