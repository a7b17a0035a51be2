"""The embedded server: what it is, and what it survives."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from server_owner import Owner

from ingestd.errors import ConfigError, UnavailableError
from ingestd.postgres import Postgres, programs
from ingestd.postgres.server import InUse

SYSTEM = sorted(path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "postgres").exists())


@asynccontextmanager
async def running(directory: Path, **options: Path) -> AsyncIterator[Postgres]:
    server = Postgres(directory, bindir=options.get("bindir"))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def query(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    except FileNotFoundError:
        return False


async def until(condition: Callable[[], bool], limit: float = 20.0) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def test_serves_on_a_private_socket_alone(data_directory: Path) -> None:
    async with running(data_directory) as server:
        assert re.fullmatch(r"postgresql://ingestd@/ingestd\?host=/.+/run&port=5432", server.url)
        assert await query(server.url, "SHOW listen_addresses") == ""
        run = data_directory / "run"
        assert run.stat().st_mode & 0o777 == 0o700
        assert (run / ".s.PGSQL.5432").stat().st_mode & 0o777 == 0o700
        assert (data_directory / "postgres").stat().st_mode & 0o777 == 0o700
        assert (data_directory / "postgres.log").stat().st_mode & 0o777 == 0o600
        rules = await query(
            server.url, "SELECT string_agg(DISTINCT type || ' ' || auth_method, ', ') FROM pg_hba_file_rules"
        )
        assert rules == "host reject, local trust"


@pytest.mark.parametrize("bindir", [None, *SYSTEM], ids=str)
async def test_keeps_promises_in_its_settings(data_directory: Path, bindir: Path | None) -> None:
    if bindir is not None and programs.major(bindir) < programs.OLDEST_MAJOR:
        pytest.skip("too old for us")
    server = Postgres(data_directory, bindir=bindir)
    await server.start()
    try:
        for name, value in [
            ("fsync", "on"),
            ("synchronous_commit", "on"),
            ("full_page_writes", "on"),
            ("data_checksums", "on"),
            ("server_encoding", "UTF8"),
            ("TimeZone", "UTC"),
        ]:
            assert await query(server.url, f"SHOW {name}") == value
        # By code point, as Python sorts, and not by the rules of some language.
        assert await query(server.url, "SELECT 'Z' < 'a' AND upper('é') = 'É'") is True
    finally:
        await server.stop()


async def test_stops_at_once_and_keeps_what_it_has(made_directory: Path) -> None:
    async with running(made_directory) as server:
        await query(server.url, "CREATE TABLE kept AS SELECT 7 AS value")
        session = await asyncpg.connect(server.url)
        begun = time.monotonic()
        await server.stop()
        assert time.monotonic() - begun < 1, "an open session must not hold it up"
        assert server.pid is None
        session.terminate()
    async with running(made_directory) as server:
        assert await query(server.url, "SELECT value FROM kept") == 7


async def test_server_sees_nothing_of_our_environment(made_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGDATA", "PGPORT", "PGOPTIONS", "NOTIFY_SOCKET", "INGESTD_DATABASE_URL"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.delenv("PGPORT")  # asyncpg, in this process, reads it too
    monkeypatch.delenv("PGOPTIONS")
    async with running(made_directory) as server:
        assert b"secret" not in Path(f"/proc/{server.pid}/environ").read_bytes()
        assert os.getsid(server.pid or 0) != os.getsid(0), "^C on our terminal would stop it"


async def test_errors_in_its_log_show_no_values(made_directory: Path) -> None:
    async with running(made_directory) as server:
        await query(server.url, "CREATE TABLE one (value text UNIQUE)")
        await query(server.url, "INSERT INTO one VALUES ('confidential')")
        with pytest.raises(asyncpg.UniqueViolationError):
            await query(server.url, "INSERT INTO one VALUES ('confidential')")
    written = (made_directory / "postgres.log").read_text(encoding="utf-8")
    assert "duplicate key" in written
    assert "confidential" not in written


async def test_start_outside_the_main_thread_is_refused(data_directory: Path) -> None:
    with pytest.raises(RuntimeError, match="main thread"):
        await asyncio.to_thread(asyncio.run, Postgres(data_directory).start())
    assert list(data_directory.iterdir()) == []


async def test_ends_cleanly_when_its_owner_is_killed(made_directory: Path, own: Callable[[Path], Owner]) -> None:
    owner = own(made_directory).ready()
    owner.kill()
    await until(lambda: not alive(owner.server), 10)
    assert (made_directory / "postgres.log").read_text().rstrip().endswith("database system is shut down")
    async with running(made_directory) as server:
        assert await server.answers()


async def test_survives_kill_of_owner_and_server(made_directory: Path, own: Callable[[Path], Owner]) -> None:
    for round_ in range(3):
        owner = own(made_directory).ready()
        url = Postgres(made_directory).url
        await query(url, f"CREATE TABLE t{round_} AS SELECT 7 AS value")
        os.kill(owner.server, signal.SIGKILL)
        owner.kill()
    begun = time.monotonic()
    async with running(made_directory) as server:
        assert time.monotonic() - begun < 10
        for round_ in range(3):
            assert await query(server.url, f"SELECT value FROM t{round_}") == 7


async def test_supervise_starts_a_killed_server_again(made_directory: Path) -> None:
    async with running(made_directory) as server:
        await query(server.url, "CREATE TABLE kept AS SELECT 7 AS value")
        calls: list[str] = []
        up = asyncio.Event()

        def count_up() -> None:
            calls.append("up")
            up.set()

        supervisor = asyncio.create_task(server.supervise(down=lambda: calls.append("down"), up=count_up))
        for _ in range(2):
            up.clear()
            first = server.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await asyncio.wait_for(up.wait(), 20)
            assert server.pid not in {None, first}
            assert await query(server.url, "SELECT value FROM kept") == 7
        assert calls == ["down", "up"] * 2
        supervisor.cancel()
        await asyncio.wait([supervisor])


async def test_supervise_tries_until_the_server_starts(made_directory: Path) -> None:
    async with running(made_directory) as server:
        up = asyncio.Event()
        supervisor = asyncio.create_task(server.supervise(up=up.set))
        control = made_directory / "postgres/global/pg_control"
        control.rename(control.with_name("hidden"))
        os.kill(server.pid or 0, signal.SIGKILL)
        await asyncio.sleep(0.7)
        assert not up.is_set()
        control.with_name("hidden").rename(control)
        await asyncio.wait_for(up.wait(), 20)
        assert await server.answers()
        supervisor.cancel()
        await asyncio.wait([supervisor])


async def test_log_does_not_grow_for_ever(made_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestd.postgres.server.LOG_LIMIT", 4096)
    async with running(made_directory) as server:
        supervisor = asyncio.create_task(server.supervise())
        log = made_directory / "postgres.log"
        with log.open("ab") as file:
            file.write(b"x" * 8192)
        await until(lambda: log.stat().st_size < 4096)
        with pytest.raises(asyncpg.UndefinedTableError):
            await query(server.url, "SELECT * FROM nowhere")
        await until(lambda: b'relation "nowhere" does not exist' in log.read_bytes())
        assert b"\0" not in log.read_bytes()
        supervisor.cancel()
        await asyncio.wait([supervisor])


async def test_second_owner_hears_one_line(made_directory: Path, own: Callable[[Path], Owner]) -> None:
    owner = own(made_directory).ready()
    with pytest.raises(InUse, match=f"^{made_directory}: in use by another ingestd, process {owner.process.pid}$"):
        await Postgres(made_directory).start(patience=0.1)
    assert await query(Postgres(made_directory).url, "SELECT 1") == 1, "the first goes on"


async def test_two_starts_at_once_make_one_cluster(data_directory: Path) -> None:
    servers = [Postgres(data_directory), Postgres(data_directory)]
    results = await asyncio.gather(*(server.start(patience=0.1) for server in servers), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["InUse", "NoneType"]
    for server in servers:
        await server.stop()


async def test_waits_for_a_server_that_is_still_ending(made_directory: Path, own: Callable[[Path], Owner]) -> None:
    owner = own(made_directory).ready()
    os.kill(owner.server, signal.SIGSTOP)  # as one that writes its last checkpoint to a slow disk
    owner.kill()
    server = Postgres(made_directory)
    waited = 0

    def count() -> None:
        nonlocal waited
        waited += 1

    start = asyncio.create_task(server.start(count))
    await asyncio.sleep(1.3)
    assert not start.done()
    assert waited == 1
    os.kill(owner.server, signal.SIGCONT)
    await asyncio.wait_for(start, 20)
    assert await server.answers()
    await server.stop()


async def test_half_made_cluster_is_made_again(data_directory: Path, own: Callable[[Path], Owner]) -> None:
    for delay in (0.0, 0.1):
        owner = own(data_directory)
        await until((data_directory / "postgres.new").exists)
        await asyncio.sleep(delay)
        owner.kill()
    assert not (data_directory / "postgres").exists()
    # What a power failure leaves nobody tidies up.
    (data_directory / "postgres.new/base").mkdir(parents=True, exist_ok=True)
    async with running(data_directory) as server:
        assert await server.answers()
    assert not (data_directory / "postgres.new").exists()


async def test_dead_server_whose_number_a_stranger_got(made_directory: Path) -> None:
    async with running(made_directory):
        pid_file = (made_directory / "postgres/postmaster.pid").read_text(encoding="ascii").splitlines()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        pid_file[0] = str(stranger.pid)
        (made_directory / "postgres/postmaster.pid").write_text("\n".join(pid_file) + "\n", encoding="ascii")
        async with running(made_directory) as server:
            assert await server.answers()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@asynccontextmanager
async def by_hand(directory: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A server on the cluster that somebody starts without us."""
    async with running(directory) as server:
        account = programs.choose_account(server.cluster)
        program = Path(f"/proc/{server.pid}/exe").readlink()  # one that the account may run
    process = subprocess.Popen(
        [program, "-D", server.cluster, "-k", directory / "run", "-h", ""],
        user=account.uid,
        group=account.gid,
        cwd="/",
        stderr=subprocess.DEVNULL,
    )
    try:
        await until((directory / "run/.s.PGSQL.5432").exists)
        yield process
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


async def test_server_started_by_hand_is_left_alone(made_directory: Path) -> None:
    async with by_hand(made_directory) as process:
        with pytest.raises(UnavailableError, match=f"not ours, process {process.pid}$"):
            await Postgres(made_directory).start()


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
async def test_server_started_by_hand_is_seen_from_a_container(made_directory: Path) -> None:
    """Root of a container may not look into the processes of other users."""
    code = (
        "import asyncio, sys, pathlib; from ingestd.postgres import Postgres\n"
        "try: asyncio.run(Postgres(pathlib.Path(sys.argv[1])).start())\n"
        "except Exception as error: print(error)"
    )
    async with by_hand(made_directory) as process:
        limited = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", sys.executable, "-c", code]
        said = subprocess.run([*limited, made_directory], capture_output=True, text=True, check=True).stdout
        assert said.endswith(f"not ours, process {process.pid}\n")


async def test_umask_does_not_shut_the_server_out(data_directory: Path) -> None:
    before = os.umask(0o077)
    try:
        async with running(data_directory / "new") as server:
            assert await server.answers()
    finally:
        os.umask(before)


async def test_log_that_was_removed_is_no_obstacle(made_directory: Path) -> None:
    async with running(made_directory) as server:
        up = asyncio.Event()
        supervisor = asyncio.create_task(server.supervise(up=up.set))
        (made_directory / "postgres.log").unlink()
        await asyncio.sleep(0.3)
        os.kill(server.pid or 0, signal.SIGKILL)
        await asyncio.wait_for(up.wait(), 20)
        supervisor.cancel()
        await asyncio.wait([supervisor])


async def test_long_path_has_its_socket_elsewhere(data_directory: Path) -> None:
    directory = data_directory / ("long" * 30)
    directory.mkdir(mode=0o755)
    async with running(directory) as server:
        socket = (directory / "run").readlink()
        assert socket.stat().st_mode & 0o777 == 0o700
        assert str(socket) in server.url
        assert await server.answers()
    assert not socket.exists()
    # One that a crash left goes at the next start.
    left = socket.with_name("ingestd-left")
    left.mkdir()
    shutil.chown(left, programs.choose_account(server.cluster).uid)
    (directory / "run").symlink_to(left)
    async with running(directory):
        assert not left.exists()


async def test_odd_path_works(data_directory: Path) -> None:
    directory = data_directory / "a b,c:d%20e'ü"
    async with running(directory) as server:
        assert await query(server.url, "SELECT 1") == 1


async def test_data_of_another_major_is_refused(made_directory: Path) -> None:
    async with running(made_directory) as server:
        ours = str(await query(server.url, "SHOW server_version_num"))[:2]
    (made_directory / "postgres/PG_VERSION").write_text("14\n", encoding="ascii")
    said = (
        rf"^{made_directory}/postgres: data of PostgreSQL 14, but the programs in \S+ are PostgreSQL {ours}: `ingestd "
    )
    with pytest.raises(ConfigError, match=said):
        await Postgres(made_directory).start()


async def test_something_else_is_no_cluster(data_directory: Path) -> None:
    cluster = data_directory / "postgres"
    cluster.mkdir()
    if os.geteuid() == 0:
        shutil.chown(cluster, "nobody")
    with pytest.raises(ConfigError, match=f"^{cluster}: not a PostgreSQL data directory$"):
        await Postgres(data_directory).start()


async def test_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match=f"^{tmp_path}/file/data: Not a directory$"):
        await Postgres(tmp_path / "file/data").start()


async def test_server_that_does_not_start_says_why(made_directory: Path) -> None:
    with pytest.raises(UnavailableError, match=r"PostgreSQL does not start: .*shared_buffers.*$") as caught:
        await Postgres(made_directory, settings={"shared_buffers": "much"}).start()
    assert "\n" not in str(caught.value)
    async with running(made_directory) as server:
        assert await server.answers(), "and the next attempt is not in its way"
