"""Which programs are used, by whom, and from where."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ingestd.errors import ConfigError
from ingestd.postgres import Postgres, programs

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def fake(bindir: Path, answer: str) -> Path:
    """Programs that only tell their version."""
    bindir.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (bindir / name).write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="ascii")
        (bindir / name).chmod(0o755)
    return bindir


def test_wheel_comes_first_in_its_newest_version_without_running_it() -> None:
    code = (
        "import sys; from ingestd.postgres import find_binaries; print(find_binaries());"
        f"assert {programs.WHEEL!r} not in sys.modules"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert programs.WHEEL in Path(found).parts
    beside = Path(found).parent.parent.glob("pginstall*/bin")
    assert programs.major(Path(found)) == max(programs.major(path) for path in beside)


def test_configured_directory_wins(tmp_path: Path) -> None:
    bindir = fake(tmp_path / "bin", "postgres (PostgreSQL) 17.2 (Debian 17.2-1)")
    assert programs.find_binaries(bindir) == bindir


def test_system_is_asked_without_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "WHEEL", "no_such_wheel")
    monkeypatch.setattr(programs, "SYSTEM", tmp_path)
    with pytest.raises(ConfigError, match="no PostgreSQL programs found"):
        programs.find_binaries()
    fake(tmp_path / "9/bin", "postgres (PostgreSQL) 9.6.1")
    with pytest.raises(ConfigError, match="no PostgreSQL programs found"):
        programs.find_binaries()
    fake(tmp_path / "16/bin", "postgres (PostgreSQL) 16.4")
    newest = fake(tmp_path / "100/bin", "postgres (PostgreSQL) 100beta1")
    (tmp_path / "101/bin").mkdir(parents=True)  # client programs alone
    assert programs.find_binaries() == newest


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("postgres (PostgreSQL) 14.1", "PostgreSQL 14 is too old, 15 or newer is needed"),
        ("something else", "postgres: does not say its version"),
    ],
)
def test_configured_directory_is_unusable(tmp_path: Path, answer: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"{said}$"):
        programs.find_binaries(fake(tmp_path / "bin", answer))


def test_configured_directory_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{tmp_path}/postgres: No such file or directory$"):
        programs.find_binaries(tmp_path)


def test_may_enter_reads_permissions(tmp_path: Path) -> None:
    stranger = programs.Account(54321, 54321)
    assert stranger.may_enter(Path("/"))
    assert not stranger.may_enter(tmp_path), "pytest closes its directories to others"
    assert programs.Account(os.geteuid(), os.getegid()).may_enter(tmp_path)


@as_root
async def test_root_runs_the_server_as_somebody_else(data_directory: Path) -> None:
    server = Postgres(data_directory)
    await server.start()
    try:
        status = Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8").splitlines()
        ids = {line.split()[0]: line.split()[1:] for line in status if line.startswith(("Uid:", "Gid:", "Groups:"))}
        account = programs.choose_account(server.cluster)
        assert account.name in programs.ACCOUNTS
        assert ids == {
            "Uid:": [str(account.uid)] * 4,
            "Gid:": [str(account.gid)] * 4,
            "Groups:": [str(account.gid)],
        }
    finally:
        await server.stop()


@as_root
async def test_root_changes_no_permission_of_others(made_directory: Path) -> None:
    """The wheel below a closed directory: the programs are copied, once, and the directory stays closed."""
    closed = made_directory.parent / "closed"
    packages = closed / "site-packages"
    bindir = programs.find_binaries()
    libraries = bindir.parents[2] / f"{programs.WHEEL}.libs"
    for source in (bindir.parent, libraries):
        ignored = shutil.ignore_patterns("include")
        shutil.copytree(source, packages / source.relative_to(bindir.parents[2]), ignore=ignored)
    closed.chmod(0o700)
    hidden = packages / bindir.relative_to(bindir.parents[2])

    async def start() -> Path:
        server = Postgres(made_directory, bindir=hidden)
        await server.start()
        try:
            assert await server.answers()
            return Path(f"/proc/{server.pid}/exe").readlink()
        finally:
            await server.stop()

    program = await start()
    assert program.is_relative_to(made_directory)
    first = program.stat().st_ino
    assert (await start()).stat().st_ino == first, "it was copied again"
    (program.parent / "initdb").write_bytes(b"")  # as a power failure leaves it
    await start()
    assert (program.parent / "initdb").stat().st_size > 0
    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
async def test_root_names_the_directory_its_server_cannot_enter(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{tmp_path}/data: user .*, who runs PostgreSQL, may not enter it"):
        await Postgres(tmp_path / "data").start()


@as_root
async def test_root_follows_the_owner_of_the_cluster(made_directory: Path) -> None:
    server = Postgres(made_directory)
    await server.start()
    await server.stop()
    nobody = pwd.getpwnam("nobody")
    for path in (server.cluster, *server.cluster.rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    await server.start()
    try:
        assert Path(f"/proc/{server.pid}").stat().st_uid == nobody.pw_uid
    finally:
        await server.stop()
    os.chown(server.cluster, 0, 0)
    with pytest.raises(ConfigError, match=r"belongs to root, and PostgreSQL refuses to run as root$"):
        await server.start()


@as_root
def test_user_is_told_whose_cluster_it_is(data_directory: Path) -> None:
    (data_directory / "postgres").mkdir()
    os.chown(data_directory, 65534, 65534)
    code = (
        "import asyncio, sys, pathlib; from ingestd.postgres import Postgres; from ingestd.errors import UserError\n"
        "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: asyncio.run(Postgres(pathlib.Path(sys.argv[1])).start())\n"
        "except UserError as error: print(type(error).__name__, error)"
    )
    said = subprocess.run([sys.executable, "-c", code, data_directory], capture_output=True, text=True, check=True)
    assert said.stdout == f"ConfigError {data_directory}/postgres: belongs to user root, and we run as nobody\n"
