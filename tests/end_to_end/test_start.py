"""What keeps the daemon from starting is one line that names what and where, with the exit code for it."""

import asyncio
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from mails import mail

from end_to_end import database
from end_to_end.peer import Peer
from ingestd.postgres import Postgres
from ingestd.store import migrate

UNAVAILABLE, CONFIG = 69, 78

MakeDaemon = Callable[..., DaemonProcess]


def _refusal(daemon: DaemonProcess, command: str = "serve") -> tuple[int, str]:
    """The exit code and the one line on standard error; log lines of the daemon apart."""
    result = daemon.run(*command.split())
    lines = [line for line in result.stderr.decode().splitlines() if not line.startswith("<")]
    assert len(lines) == 1, result.stderr.decode()
    assert lines[0].startswith("ingestd: ")
    assert "Traceback" not in result.stderr.decode()
    return result.returncode, lines[0].removeprefix("ingestd: ")


@pytest.mark.parametrize("command", ["serve", "migrate", "dump", "export x@y", "explain x@y"])
def test_nobody_at_the_databases_address(run_alone: MakeDaemon, command: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        daemon = run_alone(database_url=f"postgresql://user:secret@127.0.0.1:{port}/nowhere")
        code, line = _refusal(daemon, command)
    assert code == UNAVAILABLE
    assert f"127.0.0.1:{port}/nowhere" in line
    assert "secret" not in line


@pytest.mark.parametrize("command", ["serve", "dump"])
def test_a_database_that_does_not_exist(run_alone: MakeDaemon, server_url: str, command: str) -> None:
    code, line = _refusal(run_alone(database_url=database.named(server_url, "not_there")), command)
    assert (code, "not_there" in line, "does not exist" in line) == (UNAVAILABLE, True, True), line


def test_a_host_without_address(run_alone: MakeDaemon) -> None:
    code, line = _refusal(run_alone(database_url="postgresql://user@no-such-host.invalid/x"))
    assert (code, "no-such-host.invalid" in line) == (UNAVAILABLE, True), line


@pytest.mark.parametrize("url", ["mysql://user@host/x", "postgresql:/x", "nonsense", "postgresql://host:port/x"])
def test_a_url_that_is_none(run_alone: MakeDaemon, url: str) -> None:
    code, line = _refusal(run_alone(database_url=url))
    assert (code, "database.url" in line) == (CONFIG, True), line


def test_no_schema(run_alone: MakeDaemon, empty_database_url: str) -> None:
    for command, config in (("serve", 'database.migrate = "check"'), ("dump", ""), ("export x@y", "")):
        code, line = _refusal(run_alone(database_url=empty_database_url, config=config), command)
        assert (code, "no ingestd schema" in line, "ingestd migrate" in line) == (CONFIG, True, True), (command, line)


def test_a_schema_too_new(run_alone: MakeDaemon, database_url: str) -> None:
    database.execute(database_url, "UPDATE ingestd.alembic_version SET version_num = '9999'")
    database.execute(database_url, "UPDATE ingestd.schema_floor SET revision = '9999'")
    for command in ("serve", "migrate", "dump"):
        daemon = run_alone(database_url=database_url)
        code, line = _refusal(daemon, command)
        assert code == CONFIG
        assert "schema 9999 is newer than " + migrate.head() in line


def test_a_schema_too_old(
    run_alone: MakeDaemon, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ingestd with one more migration than the database has."""
    package = _copy_with_a_new_migration(tmp_path / "newer")
    monkeypatch.setenv("PYTHONPATH", str(package))
    daemon = run_alone(database_url=database_url, config='database.migrate = "check"')
    code, line = _refusal(daemon)
    assert code == CONFIG
    assert f"schema {migrate.head()} is too old, need 9999" in line
    assert "run `ingestd migrate`" in line
    result = daemon.run("migrate")
    assert (result.returncode, b"migrated to schema 9999" in result.stdout) == (0, True), result.stderr
    # The one without it goes on: the migration asks no more of it.
    del daemon.environment["PYTHONPATH"]
    daemon.start()
    with Peer(daemon.lmtp) as peer:
        assert peer.send(mail("one@example.org", "One"))[0].startswith("250")
    assert daemon.run("migrate").returncode == 0


def _copy_with_a_new_migration(directory: Path) -> Path:
    root = Path(__file__).resolve().parent.parent.parent
    for name in ("ingestd", "migrations"):
        shutil.copytree(root / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "migrations/versions/9999_newer.py").write_text(
        '"""Newer."""\n\n'
        f'revision = "9999"\ndown_revision = "{migrate.head()}"\n\n'
        "def upgrade() -> None:\n    pass\n\ndef downgrade() -> None:\n    pass\n"
    )
    return directory


@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
def test_a_taken_port(run_alone: MakeDaemon, database_url: str, protocol: str) -> None:
    daemon = run_alone(database_url=database_url)
    with socket.socket() as taken:
        taken.bind(getattr(daemon, protocol))
        taken.listen()
        code, line = _refusal(daemon)
    assert (code, f"127.0.0.1:{getattr(daemon, protocol)[1]}" in line) == (UNAVAILABLE, True), line


def test_a_taken_socket(run_alone: MakeDaemon, database_url: str) -> None:
    daemon = run_alone(database_url=database_url)
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(daemon.lmtp_socket))
        taken.listen()
        code, line = _refusal(daemon)
    assert (code, str(daemon.lmtp_socket) in line) == (UNAVAILABLE, True), line


def test_a_socket_left_behind_is_no_obstacle(run_alone: MakeDaemon, database_url: str) -> None:
    daemon = run_alone(database_url=database_url)
    daemon.start()
    daemon.kill()
    assert daemon.lmtp_socket.exists()
    daemon.start()
    assert daemon.terminate() == 0
    assert not daemon.lmtp_socket.exists()


def test_a_file_where_the_socket_should_be(run_alone: MakeDaemon, database_url: str) -> None:
    daemon = run_alone(database_url=database_url)
    daemon.lmtp_socket.write_text("precious")
    code, line = _refusal(daemon)
    assert (code, str(daemon.lmtp_socket) in line) == (UNAVAILABLE, True), line
    assert daemon.lmtp_socket.read_text() == "precious"


def test_a_directory_that_is_not_there_for_the_socket(run_alone: MakeDaemon, database_url: str) -> None:
    daemon = run_alone(database_url=database_url, environment={"INGESTD__LMTP__SOCKET": "/no/such/directory/sock"})
    code, line = _refusal(daemon)
    assert (code, "/no/such/directory" in line) == (UNAVAILABLE, True), line


def test_an_address_that_is_not_ours(run_alone: MakeDaemon, database_url: str) -> None:
    daemon = run_alone(database_url=database_url, environment={"INGESTD__LMTP__ADDRESS": "192.0.2.1:8024"})
    code, line = _refusal(daemon)
    assert (code, "192.0.2.1:8024" in line) == (UNAVAILABLE, True), line


def test_data_of_another_postgresql(run_alone: MakeDaemon, data_directory: Path) -> None:
    server = Postgres(data_directory)

    async def make() -> None:
        await server.start()
        await server.stop()

    asyncio.run(make())
    (data_directory / "postgres/PG_VERSION").write_text("12\n")
    for command in ("serve", "dump"):
        code, line = _refusal(run_alone(data_directory=data_directory), command)
        assert (code, str(data_directory) in line, "12" in line) == (CONFIG, True, True), line


def test_two_daemons_on_one_data_directory(run_alone: MakeDaemon, data_directory: Path) -> None:
    first = run_alone(data_directory=data_directory)
    first.start()
    code, line = _refusal(run_alone(data_directory=data_directory))
    assert (code, str(data_directory) in line) == (UNAVAILABLE, True), line
    assert first.run("health").returncode == 0
    assert first.terminate() == 0


def test_a_data_directory_that_cannot_be_made(run_alone: MakeDaemon, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    code, line = _refusal(run_alone(data_directory=tmp_path / "file/data"))
    assert (code in {UNAVAILABLE, CONFIG}, str(tmp_path / "file") in line) == (True, True), line
