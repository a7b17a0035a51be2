"""A mail server set up as the page says, and the daemon behind it."""

import os
import shutil
import site
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from scratch import open_directory

from mail_servers import exim, postfix, recipe
from mail_servers.exim import Exim
from mail_servers.postfix import Postfix

ROOT = Path(__file__).resolve().parents[2]

LISTS = """
[[lists]]
id = "qemu-devel.nongnu.org"
recipients = ["qemu-devel@ingest.example.org"]

[[lists]]
id = "linux-aspeed.lists.ozlabs.org"
recipients = ["linux-aspeed@ingest.example.org"]
"""


@dataclass
class Site:
    """A server and the daemon that it delivers to, both running."""

    server: Postfix | Exim
    daemon: DaemonProcess
    database_url: str


@dataclass
class Builder:
    """Makes sites, each from one section of the page."""

    directory: Path
    database_url: str
    make_daemon: Callable[..., DaemonProcess]
    started: list[Postfix | Exim] = field(default_factory=list)

    def build(self, section: str, changes: dict[str, str] | None = None) -> Site:
        """The site of a section; `changes` are made to the server's own part, beside paths, ports and users."""
        files = recipe.files(section)
        daemon = self._daemon(files)
        kind = postfix if section.startswith(("Postfix", "Any")) else exim
        if why := kind.missing():
            pytest.skip(why)
        server = self._postfix if kind is postfix else self._exim
        made = server(files, daemon, changes or {})
        self.started.append(made)
        made.start()
        daemon.start()
        return Site(made, daemon, self.database_url)

    def _daemon(self, files: dict[str, str]) -> DaemonProcess:
        """A daemon with the configuration of the page, else with its socket in a place of the test's."""
        config = files.pop("/etc/ingestd/config.toml", "")
        if config:
            place = self.directory / "spool/ingestd"
            daemon = self.make_daemon(
                database_url=self.database_url,
                config=recipe.adapt(config, {"/var/spool/postfix/ingestd": str(place)}) + LISTS,
            )
            del daemon.environment["INGESTD__LMTP__SOCKET"]
            return daemon
        place = self.directory / "run"
        place.mkdir()
        if exim.missing() is None:
            shutil.chown(place, group=exim.USER)
        place.chmod(0o2750)
        return self.make_daemon(
            database_url=self.database_url,
            config=LISTS,
            environment={"INGESTD__LMTP__SOCKET": str(place / "lmtp.sock")},
        )

    def _program(self, daemon: DaemonProcess, user: str) -> Path:
        """What stands for /usr/bin/ingestd: it finds this daemon, as the installed one finds that of the machine."""
        settings = {name: daemon.environment[name] for name in ("INGESTD__LMTP__ADDRESS", "INGESTD__SMTP__ADDRESS")}
        settings["PYTHONPATH"] = os.pathsep.join([str(ROOT), *site.getsitepackages()])
        shown = " ".join(f"{name}='{value}'" for name, value in settings.items())
        program = self.directory / "ingestd"
        for python in (sys.executable, "/usr/bin/python3"):
            program.write_text(f'#!/bin/sh\nexec env {shown} {python} -m ingestd "$@"\n', encoding="utf-8")
            program.chmod(0o755)
            tried = subprocess.run([program, "--version"], user=user, capture_output=True, cwd="/", check=False)
            if tried.returncode == 0:
                return program
        pytest.skip(f"no Python that {user} may run has what ingestd needs")

    def _postfix(self, files: dict[str, str], daemon: DaemonProcess, changes: dict[str, str]) -> Postfix:
        maps = {name: text for path, text in files.items() if (name := Path(path).name) not in {"main.cf", "master.cf"}}
        if "inet:127.0.0.1:8024" in maps["ingestd_transport"]:
            maps["ingestd_transport"] = recipe.adapt(
                maps["ingestd_transport"], {"127.0.0.1:8024": f"127.0.0.1:{daemon.lmtp[1]}"}
            )
        main = recipe.adapt(files["/etc/postfix/main.cf"], {"/etc/postfix": str(self.directory / "etc")})
        if "maximal_backoff_time" in main:
            main = recipe.adapt(main, {"maximal_backoff_time = 600s": "maximal_backoff_time = 1s"})
        master = recipe.adapt(files["/etc/postfix/master.cf"], changes)
        if "/usr/bin/ingestd" in master:
            master = recipe.adapt(master, {"/usr/bin/ingestd": str(self._program(daemon, "nobody"))})
        made = Postfix(self.directory, free_port(), main, master, maps)
        if "INGESTD__LMTP__SOCKET" not in daemon.environment:
            place = made.queue_directory / "ingestd"
            place.mkdir()
            shutil.chown(place, group="postfix")
            place.chmod(0o2750)
        return made

    def _exim(self, files: dict[str, str], daemon: DaemonProcess, changes: dict[str, str]) -> Exim:
        part = {Path(path).parent.name: text for path, text in files.items()}
        if "driver = lmtp" in part["transport"]:
            own = {"/run/ingestd/lmtp.sock": daemon.environment["INGESTD__LMTP__SOCKET"]}
        elif "driver = smtp" in part["transport"]:
            own = {"port = 8024": f"port = {daemon.lmtp[1]}"}
        else:
            own = {"/usr/bin/ingestd": str(self._program(daemon, exim.USER))}
        part["transport"] = recipe.adapt(part["transport"], own | changes)
        return Exim(
            self.directory,
            free_port(),
            part["router"],
            part["transport"],
            recipe.adapt(part["retry"], {"5m": "1s"}),
        )


@pytest.fixture
def builder(database_url: str, tmp_path: Path) -> Iterator[Builder]:
    """What makes sites; all is stopped when the test ends."""
    daemons: list[DaemonProcess] = []

    def make(**arguments: object) -> DaemonProcess:
        directory = tmp_path / f"daemon{len(daemons)}"
        directory.mkdir()
        daemons.append(DaemonProcess(directory, **arguments))  # type: ignore[arg-type]
        return daemons[-1]

    with open_directory() as directory:
        directory.chmod(0o755)
        made = Builder(directory, database_url, make)
        try:
            yield made
        finally:
            for daemon in daemons:
                daemon.kill()
            for server in made.started:
                server.stop()


def free_port() -> int:
    """A port of the loopback address that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
