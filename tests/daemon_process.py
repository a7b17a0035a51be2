"""The real daemon as a process of its own, for tests from outside."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

READY_LIMIT = 60.0  # seconds, on a loaded machine, with a cluster to make
STOP_LIMIT = 60.0


class DaemonProcess:
    """`ingestd serve` on ports of its own. The ports stay over `restart`."""

    def __init__(
        self,
        directory: Path,
        *,
        database_url: str | None = None,
        data_directory: Path | None = None,
        config: str | None = None,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "ingestd"),
        handed: Sequence[tuple[str, socket.socket]] = (),
        monitored: bool = False,
        arguments: Sequence[str] = ("serve",),
    ) -> None:
        """In `directory` are its log and its socket. Without `database_url` it runs a PostgreSQL in `data_directory`.

        `config` is the text of a configuration file; `environment` comes on top of ours; `command` runs ingestd;
        `handed` are sockets, each with its name, that it is given at each start as systemd does;
        `monitored` lets it answer at `metrics`; `arguments` are those of `ingestd`.
        """
        self._handed = handed
        self._arguments = arguments
        self.command = command
        self.directory = directory
        self.lmtp = ("127.0.0.1", free_port())
        self.smtp = ("127.0.0.1", free_port())
        self.metrics = ("127.0.0.1", free_port())  # where it answers if asked to
        self.lmtp_socket = directory / "lmtp.sock"
        self.log = directory / "log"
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("INGESTD_")}
        self.environment |= {
            "INGESTD__LMTP__ADDRESS": f"{self.lmtp[0]}:{self.lmtp[1]}",
            "INGESTD__SMTP__ADDRESS": f"{self.smtp[0]}:{self.smtp[1]}",
            "INGESTD__LMTP__SOCKET": str(self.lmtp_socket),
        }
        if database_url is not None:
            self.environment["INGESTD_DATABASE_URL"] = database_url
        if data_directory is not None:
            self.environment["INGESTD__DATABASE__DATA_DIRECTORY"] = str(data_directory)
        if config is not None:
            (directory / "config.toml").write_text(config, encoding="utf-8")
            self.environment["INGESTD_CONFIG"] = str(directory / "config.toml")
        if monitored:
            self.environment["INGESTD__METRICS__ADDRESS"] = f"{self.metrics[0]}:{self.metrics[1]}"
        self.environment |= environment or {}

    @property
    def pid(self) -> int:
        """Of the running daemon."""
        assert self._process is not None, "the daemon is not started"
        return self._process.pid

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it takes mail."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._activation(), *self.command, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=self.environment,
                pass_fds=[listening.fileno() for _, listening in self._handed],
            )
        if wait:
            self.wait_ready()

    def _activation(self) -> list[str]:
        """What becomes the daemon: a shell that puts the sockets where sd_listen_fds(3) has them, from 3 upwards."""
        if not self._handed:
            return []
        numbers = [listening.fileno() for _, listening in self._handed]
        assert min(numbers) >= 3 + len(numbers), "a descriptor would be overwritten"
        moves = " ".join(f"{3 + index}<&{number} {number}<&-" for index, number in enumerate(numbers))
        names = ":".join(name for name, _ in self._handed)
        variables = f"LISTEN_PID=$$ LISTEN_FDS={len(numbers)} LISTEN_FDNAMES={names}"
        return ["bash", "-c", f'{variables} exec "$@" {moves}', "activation"]

    def wait_ready(self) -> None:
        """Wait until LMTP and SMTP greet."""
        deadline = time.monotonic() + READY_LIMIT
        for address in (self.lmtp, self.smtp):
            while not _greets(address):
                assert self._process is not None, "the daemon is not started"
                status = self._process.poll()
                assert status is None, f"the daemon ended with {status}:\n{self.read_log()}"
                assert time.monotonic() < deadline, f"the daemon is not ready:\n{self.read_log()}"
                time.sleep(0.02)

    def terminate(self) -> int:
        """Ask it to stop with SIGTERM; its exit code. A second call gives the same again."""
        assert self._process is not None, "the daemon is not started"
        self._process.terminate()
        return self._process.wait(STOP_LIMIT)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would. Nothing to end is fine."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_LIMIT)

    def wait(self) -> int:
        """Wait until it ends by itself; its exit code."""
        assert self._process is not None, "the daemon is not started"
        return self._process.wait(READY_LIMIT)

    def reload(self) -> None:
        """Send SIGHUP."""
        os.kill(self.pid, signal.SIGHUP)

    def restart(self) -> None:
        """Stop it with SIGTERM and start it again."""
        assert self.terminate() == 0, f"the daemon did not stop well:\n{self.read_log()}"
        self.start()

    def run(
        self, *arguments: str, stdin: bytes = b"", patience: float = READY_LIMIT
    ) -> subprocess.CompletedProcess[bytes]:
        """Run another `ingestd` command with the daemon's configuration; its output is kept."""
        return subprocess.run(
            [*self.command, *arguments],
            input=stdin,
            capture_output=True,
            cwd=self.directory,
            env=self.environment,
            timeout=patience,
            check=False,
        )

    def read_log(self) -> str:
        """What it wrote to standard output and standard error, over all starts."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _greets(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=5) as connection:
            return connection.recv(4) == b"220 "
    except OSError:
        return False
