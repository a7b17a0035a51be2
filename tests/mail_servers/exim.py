"""An Exim of our own: all its directories in one place, and a queue run each second."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

PATIENCE = 60.0  # seconds
USER = "Debian-exim"

MAIN = """\
spool_directory = {place}/spool
log_file_path = {place}/log/%slog
pid_file_path = {place}/exim.pid
primary_hostname = mx.example.org
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
host_lookup =
rfc1413_hosts =
tls_advertise_hosts =
keep_environment =
message_size_limit = 100M
smtp_accept_max = 100
queue_run_max = 4
exim_path = {program}
ignore_bounce_errors_after = 0s
# Ours is no set-uid program of the system's: all is done as Exim's user.
deliver_drop_privilege
never_users =
acl_smtp_rcpt = accept_all
acl_smtp_data = accept_all
begin acl
accept_all:
  accept
begin routers
{router}
nobody_is_outside:
  driver = redirect
  data = :fail: nobody is outside
begin transports
{transport}
begin retry
{retry}
*   *   F,1d,1s
"""


def missing() -> str | None:
    """Why Exim cannot be run here, or None."""
    if program() is None:
        return "Exim is not installed"
    if os.geteuid() != 0:
        return "Exim must be started by root"
    return None


def program() -> str | None:
    """Exim itself; Debian calls it exim4."""
    return shutil.which("exim4", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Exim:
    """One instance; `directory` must be open to its user."""

    def __init__(self, directory: Path, port: int, router: str, transport: str, retry: str) -> None:
        """The parts of its configuration, as docs/mail-servers.md has them."""
        self._program = program() or "exim4"
        self.port = port
        self.log = directory / "log/mainlog"
        self.configuration = directory / "exim.conf"
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("spool", "log"):
            (directory / name).mkdir(mode=0o750)
            shutil.chown(directory / name, USER, USER)
        self.configuration.write_text(
            MAIN.format(
                program=self._program, place=directory, port=port, router=router, transport=transport, retry=retry
            ),
            encoding="utf-8",
        )

    def start(self) -> None:
        """Start it, and wait until it takes mail."""
        self._process = subprocess.Popen(
            [self._program, "-C", str(self.configuration), "-bdf", "-q1s"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + PATIENCE
        while "daemon started" not in self.read_log():
            assert self._process.poll() is None, self.read_log()
            assert time.monotonic() < deadline, self.read_log()
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it and all it has started; what is in its queue stays there."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            try:
                os.killpg(self._process.pid, signal.SIGTERM)
            except ProcessLookupError:
                return

    def queue(self) -> int:
        """How many mails it has not got rid of."""
        found = subprocess.run(
            [self._program, "-C", str(self.configuration), "-bpc"], capture_output=True, text=True, check=True
        )
        return int(found.stdout)

    def wait_empty(self, patience: float = PATIENCE) -> None:
        """Wait until the queue is empty."""
        deadline = time.monotonic() + patience
        while count := self.queue():
            assert time.monotonic() < deadline, (count, self.read_log()[-3000:])
            time.sleep(0.1)

    def read_log(self) -> str:
        """What it logged."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def statuses(self) -> list[tuple[str, str, str]]:
        """Every attempt in the log: (queue id, recipient, sent | deferred | bounced)."""
        marks = {"=>": "sent", "->": "sent", "==": "deferred", "**": "bounced"}
        found = re.findall(r"^\S+ \S+ (\S+) (=>|->|==|\*\*) (?:\S+ <)?([^\s>]+)", self.read_log(), flags=re.MULTILINE)
        return [(id_, recipient, marks[mark]) for id_, mark, recipient in found]
