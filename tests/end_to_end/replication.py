"""A primary with a synchronous standby, from the programs that the embedded server has."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from end_to_end import database
from ingestd.postgres import programs

PATIENCE = 60.0  # seconds
NAMES = ("one", "two")


class Pair:
    """Two servers; `primary` and `standby` say which is which now."""

    def __init__(self, directory: Path) -> None:
        """Make both and start them. `directory` is one that PostgreSQL's user may enter."""
        self.directory = directory
        self._account = programs.choose_account(directory / "one")
        os.chown(directory, self._account.uid, self._account.gid)
        self._programs = programs.runnable(programs.find_binaries(None), self._account, directory)
        self.ports = {name: free_port() for name in NAMES}
        self.primary, self.standby = NAMES
        self._run(
            "initdb", "-D", directory / "one", "--username=ingestd", "--auth=trust", "--encoding=UTF8", "--locale=C"
        )
        (directory / "one/postgresql.auto.conf").write_text("")
        self._start("one")
        database.execute(self._url("one", "postgres"), "CREATE DATABASE ingestd")
        self.pair()

    @property
    def url(self) -> str:
        """Both hosts; the driver finds the one that can be written."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports.values())
        return f"postgresql://ingestd@{hosts}/ingestd?target_session_attrs=read-write"

    @property
    def primary_url(self) -> str:
        """The primary alone."""
        return self._url(self.primary, "ingestd")

    def _url(self, name: str, base: str) -> str:
        return f"postgresql://ingestd@127.0.0.1:{self.ports[name]}/{base}"

    def _run(self, program: str, *arguments: str | Path) -> None:
        log = self.directory / "programs.log"
        with log.open("ab") as output:
            done = subprocess.run(
                [self._programs / program, *arguments],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd="/",
                env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
                check=False,
                **({"user": self._account.uid, "group": self._account.gid} if os.geteuid() == 0 else {}),  # type: ignore[call-overload]
            )
        assert done.returncode == 0, (program, log.read_text(errors="replace")[-3000:])

    def _start(self, name: str) -> None:
        options = f"-c port={self.ports[name]} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        options += " -c shared_buffers=32MB -c jit=off -c log_min_error_statement=panic"
        self._run(
            "pg_ctl", "-D", self.directory / name, "-w", "-l", self.directory / f"{name}.log", "-o", options, "start"
        )

    def pair(self) -> None:
        """Make the other one anew, as the synchronous standby of the primary."""
        shutil.rmtree(self.directory / self.standby, ignore_errors=True)
        source = f"host=127.0.0.1 port={self.ports[self.primary]} user=ingestd application_name={self.standby}"
        self._run(
            "pg_basebackup", "-D", self.directory / self.standby, "-R", "-X", "stream", "-c", "fast", "-d", source
        )
        self._start(self.standby)
        database.execute(
            self._url(self.primary, "postgres"),
            f"ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 ({self.standby})'",
            "SELECT pg_reload_conf()",
        )
        query = "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"
        deadline = time.monotonic() + PATIENCE
        while not database.select(self._url(self.primary, "postgres"), query):
            assert time.monotonic() < deadline, "the standby does not follow"
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        """Kill -9 of a server and all its processes, as when its machine is gone."""
        pid = self.pid(name)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        for process in (pid, *map(int, children)):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + PATIENCE
        while any(_runs(process) for process in (pid, *map(int, children))):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def pid(self, name: str) -> int:
        """Of a server's first process."""
        return int((self.directory / name / "postmaster.pid").read_text(encoding="ascii").split()[0])

    def promote(self) -> None:
        """Make the standby the primary. It waits for no standby of its own before `pair`."""
        self._run("pg_ctl", "-D", self.directory / self.standby, "-w", "promote")
        self.primary, self.standby = self.standby, self.primary
        database.execute(
            self._url(self.primary, "postgres"),
            "ALTER SYSTEM RESET synchronous_standby_names",
            "SELECT pg_reload_conf()",
        )

    def stop(self) -> None:
        """End both."""
        for name in NAMES:
            if (self.directory / name / "postmaster.pid").exists() and _runs(self.pid(name)):
                self.kill(name)


def _runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    except FileNotFoundError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
