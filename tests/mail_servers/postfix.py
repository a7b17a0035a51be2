"""A Postfix of our own: all its directories in one place, no systemd, and a second to wait where it waits minutes."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

PATIENCE = 60.0  # seconds

MAIN = """\
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {place}/lib
maillog_file = {place}/log/mail.log
maillog_file_prefixes = {place}
command_directory = {commands}
myhostname = mx.example.org
mydestination =
alias_maps =
local_recipient_maps =
default_transport = error:nobody is outside
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
# Mail comes from a list's server, and is not ours to mend.
local_header_rewrite_clients =
message_drop_headers =
message_size_limit = 104857600
mailbox_size_limit = 0
in_flow_delay = 0
smtpd_client_connection_count_limit = 0
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
"""

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def missing() -> str | None:
    """Why Postfix cannot be run here, or None."""
    if shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        return "Postfix is not installed"
    if os.geteuid() != 0:
        return "Postfix must be started by root"
    return None


class Postfix:
    """One instance; `directory` must be open to its user."""

    def __init__(self, directory: Path, port: int, main: str, master: str, files: Mapping[str, str]) -> None:
        """`main` and `master` come behind ours; `files`: further ones of its configuration, by name."""
        self.port = port
        self.configuration = directory / "etc"
        self.queue_directory = directory / "spool"
        self.log = directory / "log/mail.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {**os.environ, "PATH": f"/usr/sbin:{os.environ.get('PATH', '')}", "MAIL_CONFIG": ""}
        del self._environment["MAIL_CONFIG"]
        for name in ("etc", "spool", "log", "lib"):
            (directory / name).mkdir(mode=0o755)
        shutil.chown(directory / "lib", "postfix")
        commands = Path(shutil.which("postfix", path=self._environment["PATH"]) or "postfix").parent
        (self.configuration / "main.cf").write_text(
            MAIN.format(queue=self.queue_directory, place=directory, commands=commands) + main, encoding="utf-8"
        )
        (self.configuration / "master.cf").write_text(MASTER.format(port=port) + master, encoding="utf-8")
        for name, text in files.items():
            (self.configuration / name).write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Start it, and wait until it takes mail."""
        output = self.log.with_name("start.log").open("ab")
        with output:
            self._process = subprocess.Popen(
                ["postfix", "-c", str(self.configuration), "start-fg"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while "daemon started" not in self.read_log():
            assert self._process.poll() is None, self.log.with_name("start.log").read_text()
            assert time.monotonic() < deadline, self.read_log()
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it; what is in its queue stays there."""
        if self._process is not None and self._process.poll() is None:
            subprocess.run(
                ["postfix", "-c", str(self.configuration), "stop"],
                env=self._environment,
                capture_output=True,
                check=True,
            )
            self._process.wait(PATIENCE)

    def run(self, *command: str) -> str:
        """Run one of its commands on this instance; what it prints."""
        program, *arguments = command
        return subprocess.run(
            [program, "-c", str(self.configuration), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def queue(self) -> list[dict[str, object]]:
        """The mails that it has not got rid of."""
        return [json.loads(line) for line in self.run("postqueue", "-j").splitlines()]

    def flush(self) -> None:
        """Try all of them now."""
        self.run("postqueue", "-f")

    def wait_empty(self, patience: float = PATIENCE) -> None:
        """Wait until the queue is empty.

        It must be so twice: Postfix looks at the active mails first and at the deferred ones last, and overlooks
        a mail that it takes up again in between.
        """
        deadline = time.monotonic() + patience
        times = 0
        while times < 2:
            queue = self.queue()
            times = 0 if queue else times + 1
            assert time.monotonic() < deadline, (queue[:3], self.read_log()[-3000:])
            time.sleep(0.1)

    def read_log(self) -> str:
        """What it logged."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def statuses(self) -> list[tuple[str, str, str]]:
        """Every attempt in the log: (queue id, recipient, sent | deferred | bounced)."""
        return re.findall(r": (\w+): to=<([^>]*)>.* status=(\w+)", self.read_log())
