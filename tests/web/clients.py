"""Patchwork's clients as they are on PyPI, in an environment of their own."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

CLIENTS = ("git-pw==2.9.0", "pwclient==2.11.0", "b4==0.16.0")
PATIENCE = 120  # seconds


def install(directory: Path) -> Path:
    """Install them; the folder of their programs. Skips the test where that cannot be done."""
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        pytest.skip(f"needs {uv}")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True, capture_output=True)
    python = directory / "bin/python"
    done = subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", python, *CLIENTS], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot install {', '.join(CLIENTS)}: {done.stderr.decode()[-300:]}")
    return directory / "bin"


@dataclass(frozen=True)
class Done:
    """What a program did."""

    status: int
    out: str
    error: str


@dataclass(frozen=True)
class Desk:
    """Where somebody works with the clients: a home of their own, and a git repository."""

    programs: Path
    home: Path
    repository: Path

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What the programs see of the machine."""
        return {
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "XDG_DATA_HOME": str(self.home / "data"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "PWCLIENTRC": str(self.home / "pwclientrc"),
            "PAGER": "cat",
            "GIT_PAGER": "cat",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "COLUMNS": "400",
            # Whoever wants to go farther than this machine does not come far.
            "http_proxy": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
            "no_proxy": "127.0.0.1",
            **(extra or {}),
        }

    async def run(
        self, *arguments: str, stdin: bytes = b"", check: bool = True, extra: Mapping[str, str] | None = None
    ) -> Done:
        """Run a program in the repository, with `extra` in its environment; it must end well where `check` says so."""
        return await asyncio.to_thread(self._run, arguments, stdin, check, extra)

    def _run(self, arguments: Sequence[str], stdin: bytes, check: bool, extra: Mapping[str, str] | None) -> Done:
        done = subprocess.run(
            arguments,
            input=stdin,
            capture_output=True,
            cwd=self.repository,
            env=self.environment(extra),
            timeout=PATIENCE,
            check=False,
        )
        found = Done(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert found.status == 0 or not check, (arguments, found)
        return found

    def set_up(self, url: str, project: str, token: str) -> None:
        """Write the configuration of all clients."""
        (self.home / "pwclientrc").write_text(
            f"[options]\ndefault = {project}\n\n[{project}]\nbackend = rest\nurl = {url}/api\ntoken = {token}\n"
        )
        for name, value in (
            ("user.name", "Mary Maintainer"),
            ("user.email", "mary@example.org"),
            ("pw.server", f"{url}/api/1.2"),
            ("pw.project", project),
            ("pw.token", token),
            ("b4.pw-url", f"{url}/"),
            ("b4.pw-project", project),
            ("b4.pw-key", token),
            ("b4.pw-review-state", "under-review"),
            ("b4.midmask", f"{url}/{project}/%s"),
            ("b4.linkmask", f"{url}/{project}/%s"),
            ("b4.searchmask", f"{url}/{project}/?x=m&t=1&q=%s"),
            ("b4.attestation-policy", "off"),
        ):
            self.configure(name, value)

    def configure(self, name: str, value: str | None) -> None:
        """Set what git's configuration has of a name; None takes it away."""
        said = [name, value] if value is not None else ["--unset", name]
        subprocess.run(["git", "config", *said], cwd=self.repository, check=True, env=self.environment())
