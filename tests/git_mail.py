"""How git reads a mail: `git mailinfo`, which is what `git am` asks; and how we read an mbox."""

import os
import subprocess
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from ingestd.sources.mbox import Mbox

# Nothing of the machine's configuration.
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "LC_ALL": "C.UTF-8",
}


@dataclass(frozen=True)
class Reading:
    """What git makes of a mail."""

    author: str
    email: str
    subject: str
    date: str
    message: bytes
    patch: bytes  # all that stands below the message, diffstat and signature too


def mailinfo(mail: bytes, directory: Path, *options: str) -> Reading | None:
    """What `git mailinfo` says; None where it reads nothing. `directory` is for its files."""
    command = ["git", "mailinfo", *options, "message", "patch"]
    told = subprocess.run(command, input=mail, capture_output=True, check=False, cwd=directory, env=ENVIRONMENT)
    if told.returncode:
        return None
    said: dict[str, str] = {}
    for line in told.stdout.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(": ")
        said.setdefault(name, value)
    return Reading(
        said.get("Author", ""),
        said.get("Email", ""),
        said.get("Subject", ""),
        said.get("Date", "").strip(),
        (directory / "message").read_bytes(),
        (directory / "patch").read_bytes(),
    )


def numstat(patch: bytes, directory: Path) -> tuple[int, bytes]:
    """Exit code and output of `git apply --numstat`: which lines of which files a patch changes, if it can be read."""
    told = subprocess.run(
        ["git", "apply", "--numstat"], input=patch, capture_output=True, check=False, cwd=directory, env=ENVIRONMENT
    )
    return told.returncode, told.stdout


def mails_of(box: bytes) -> list[bytes]:
    """The mails of an mbox."""
    return [item.raw for item in Mbox(BytesIO(box)).read()]
