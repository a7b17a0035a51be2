"""`ingestd backup` and `restore` of the embedded database: beside live mail, to a newer PostgreSQL, and refused."""

import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from scratch import open_directory

from end_to_end import database, made
from end_to_end.peer import crlf, deliver
from ingestd.postgres import Postgres, programs

MAILS = made.deliveries(made.mailing_list())

Make = Callable[..., DaemonProcess]


@pytest.fixture
def other_directory() -> Iterator[Path]:
    """Where to restore to."""
    with open_directory() as directory:
        yield directory


def _run(daemon: DaemonProcess, *arguments: str) -> tuple[int, str]:
    result = daemon.run(*arguments)
    return result.returncode, result.stderr.decode()


def _write(mails: list[bytes], directory: Path) -> str:
    directory.mkdir()
    for number, raw in enumerate(mails):
        (directory / f"{number:04}.eml").write_bytes(raw)
    return str(directory)


def _restore(restored: DaemonProcess, backup: Path, directory: Path) -> None:
    schema = json.loads((backup / "backup.json").read_text())["schema"]
    assert _run(restored, "restore", str(backup)) == (0, f"restored to {directory}, schema {schema}\n")


def test_a_backup_is_one_moment_of_a_daemon_that_takes_mail(
    run_alone: Make, data_directory: Path, other_directory: Path, tmp_path: Path, database_url: str
) -> None:
    daemon = run_alone(data_directory=data_directory)
    daemon.start()
    deliver(daemon.lmtp, MAILS[:60])
    sender = threading.Thread(target=deliver, args=(daemon.lmtp, MAILS[60:]))
    sender.start()
    backup = tmp_path / "backup"
    assert _run(daemon, "backup", str(backup)) == (0, f"backed up to {backup}\n")
    sender.join()
    assert oct(backup.stat().st_mode)[-3:] == "700"
    assert not list(tmp_path.glob("*.part"))
    whole = daemon.run("dump").stdout
    assert daemon.terminate() == 0

    restored = run_alone(data_directory=other_directory)
    _restore(restored, backup, other_directory)
    restored.start()
    delivered = {
        row["raw_sha256"]
        for row in database.select(Postgres(other_directory).url, "SELECT raw_sha256 FROM ingestd_v1.delivery")
    }
    there = [raw for raw in MAILS if hashlib.sha256(crlf(raw)).hexdigest() in delivered]
    assert there[:60] == MAILS[:60]
    fresh = run_alone(database_url=database_url)
    assert fresh.run("import", _write(there, tmp_path / "mails")).returncode == 0
    assert restored.run("dump").stdout == fresh.run("dump").stdout
    deliver(restored.lmtp, MAILS)
    assert restored.run("dump").stdout == whole
    assert restored.terminate() == 0


def _oldest() -> Path:
    """The programs of the oldest PostgreSQL there is."""
    found = [majors[min(majors)] for majors in programs.installed() if majors]
    return min(found, key=programs.major)


@pytest.mark.long
def test_a_newer_postgresql_takes_over_by_backup_and_restore(
    run_alone: Make, data_directory: Path, other_directory: Path, tmp_path: Path
) -> None:
    old, new = programs.major(_oldest()), programs.major(programs.find_binaries())
    if old == new:
        pytest.skip("needs a second PostgreSQL")
    before = run_alone(data_directory=data_directory, environment={"INGESTD__DATABASE__BINDIR": str(_oldest())})
    assert before.run("import", _write(MAILS, tmp_path / "mails")).returncode == 0
    dumped = before.run("dump").stdout

    after = run_alone(data_directory=data_directory)
    refused = after.run("dump")
    assert refused.returncode == 78
    (line,) = refused.stderr.decode().splitlines()
    assert f"data of PostgreSQL {old}" in line
    assert "`ingestd backup DIR`, then `ingestd restore DIR`" in line
    backup = tmp_path / "backup"
    assert _run(after, "backup", str(backup)) == (0, f"backed up to {backup}\n")
    restored = run_alone(data_directory=other_directory)
    _restore(restored, backup, other_directory)
    assert restored.run("dump").stdout == dumped
    assert (other_directory / "postgres/PG_VERSION").read_text().strip() == str(new)

    # Not the other way round.
    with open_directory() as third:
        again, back = (
            tmp_path / "again",
            run_alone(data_directory=third, environment={"INGESTD__DATABASE__BINDIR": str(_oldest())}),
        )
        assert restored.run("backup", str(again)).returncode == 0
        code, said = _run(back, "restore", str(again))
        assert code == 78
        assert said.startswith(f"ingestd: {again}: a backup of PostgreSQL {new}, but the programs in ")
        assert said.count("\n") == 1


@pytest.mark.long
def test_a_restore_that_was_killed_may_be_begun_again(
    run_alone: Make, data_directory: Path, other_directory: Path, tmp_path: Path
) -> None:
    daemon = run_alone(data_directory=data_directory)
    assert daemon.run("import", _write(MAILS, tmp_path / "mails")).returncode == 0
    dumped, backup = daemon.run("dump").stdout, tmp_path / "backup"
    assert daemon.run("backup", str(backup)).returncode == 0
    restored = run_alone(data_directory=other_directory)
    killed = 0
    for patience in (0.5, 1.0, 1.5, 2.0):
        process = subprocess.Popen(
            [*restored.command, "restore", str(backup)], env=restored.environment, stderr=subprocess.DEVNULL
        )
        time.sleep(patience)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        killed += 1
    assert killed
    if process.returncode != 0:
        _restore(restored, backup, other_directory)
    assert restored.run("dump").stdout == dumped
    code, said = _run(restored, "restore", str(backup))
    assert (code, said) == (
        78,
        f"ingestd: {other_directory}: there is mail in it; restore into an empty data directory\n",
    )
    assert restored.run("dump").stdout == dumped


def test_it_says_what_is_wrong(
    run_alone: Make, data_directory: Path, other_directory: Path, tmp_path: Path, database_url: str
) -> None:
    target = tmp_path / "backup"
    empty = run_alone(data_directory=data_directory)
    assert _run(empty, "backup", str(target)) == (65, f"ingestd: {data_directory}: there is no embedded database\n")
    assert not target.exists()
    configured = run_alone(database_url=database_url)
    for command, program in (("backup", "pg_dump"), ("restore", "pg_restore")):
        said = f"ingestd: database.url names a server of your own: use its {program}\n"
        assert _run(configured, command, str(target)) == (78, said)
    assert empty.run("import", _write(MAILS[:5], tmp_path / "mails")).returncode == 0
    file = tmp_path / "file"
    file.write_text("x")
    for taken in (tmp_path, file):
        code, said = _run(empty, "backup", str(taken))
        assert (code, said) == (
            65,
            f"ingestd: {taken}: there is something already; a backup makes a directory of its own\n",
        )
    code, said = _run(empty, "backup", str(file / "below"))
    assert (code, said) == (69, f"ingestd: {file / 'below'}: Not a directory\n")
    assert _run(empty, "backup", str(target))[0] == 0

    restored = run_alone(data_directory=other_directory)

    def refused(code: int, said: str) -> None:
        assert _run(restored, "restore", str(target)) == (code, f"ingestd: {said}\n")
        assert not (other_directory / "postgres").exists()

    facts = (target / "backup.json").read_text()
    (target / "backup.json").write_text("{")
    refused(65, f"{target}/backup.json: cannot be read")
    (target / "backup.json").write_text(facts.replace('"format": 1', '"format": 2'))
    refused(65, f"{target}/backup.json: not of a kind that this ingestd knows")
    (target / "backup.json").write_text(facts.replace('"schema": "0', '"schema": "9'))
    newer = json.loads((target / "backup.json").read_text())["schema"]
    newest = json.loads(facts)["schema"]
    refused(78, f"{target}: schema {newer} is newer than {newest}, the newest we know")
    (target / "backup.json").write_text(facts)
    dump = (target / "ingestd.dump").read_bytes()
    (target / "ingestd.dump").write_bytes(dump[:-1])
    refused(65, f"{target}/ingestd.dump: damaged: not the bytes that were backed up")
    (target / "ingestd.dump").unlink()
    refused(65, f"{target}: no backup of ingestd: it has backup.json and ingestd.dump")
    (target / "ingestd.dump").write_bytes(dump)
    _restore(restored, target, other_directory)
