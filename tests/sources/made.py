"""Archives of every kind, made from mails."""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ingestd.store.values import Envelope

ENVELOPE = Envelope(datetime(2026, 11, 2, tzinfo=UTC))
FROM = b"From mboxrd@z Thu Jan  1 00:00:00 1970\n"
PERSON = "Ann Archive <archive@example.org> 1577836800 +0000"


def files(place: Path, mails: Iterable[bytes]) -> Path:
    """A directory with a file for each mail."""
    place.mkdir(parents=True, exist_ok=True)
    for number, mail in enumerate(mails):
        (place / f"{number:06}.eml").write_bytes(mail)
    return place


def mbox(mails: Iterable[bytes], dialect: str = "mboxrd") -> bytes:
    """An mbox as each dialect has it."""
    made = []
    for mail in mails:
        text = mail
        if dialect == "mboxrd":
            text = re.sub(rb"^(>*From )", rb">\1", mail, flags=re.MULTILINE)
        elif dialect in {"mboxo", "mboxcl"}:
            text = re.sub(rb"^From ", rb">From ", mail, flags=re.MULTILINE)
        if dialect in {"mboxcl", "mboxcl2"}:
            head, _, body = text.partition(b"\n\n")
            text = head + b"\nContent-Length: %d\n\n" % len(body) + body
        made.append(FROM + text + (b"" if text.endswith(b"\n") else b"\n") + b"\n")
    return b"".join(made)


def maildir(place: Path, mails: Iterable[bytes]) -> Path:
    """A Maildir: every other mail was seen."""
    for folder in ("cur", "new", "tmp"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    for number, mail in enumerate(mails):
        name = f"{1577836800 + number}.M{number}P1.host"
        (place / (f"cur/{name}:2,S" if number % 2 else f"new/{name}")).write_bytes(mail)
    return place


def git(directory: Path, *arguments: str, input_: bytes = b"") -> bytes:
    """Run git in a repository; what it says."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", f"--git-dir={directory}", *arguments], input=input_, capture_output=True, check=True, env=environment
    )
    return done.stdout


def repository(directory: Path) -> Path:
    """An empty bare repository."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=master", directory], check=True)
    return directory


def epoch(directory: Path, steps: Sequence[tuple[str, bytes]], *, parent: bool = False) -> Path:
    """Add commits as public-inbox of version 2 makes them: ("m", a mail), ("d", a mail that is deleted)."""
    if not directory.exists():
        repository(directory)
    stream = []
    for number, (name, mail) in enumerate(steps):
        subject = b"mail" if mail else b"purged"
        stream.append(b"commit refs/heads/master\n")
        stream.append(f"author {PERSON}\ncommitter {PERSON}\n".encode())
        stream.append(b"data %d\n%s\n" % (len(subject), subject))
        if parent and not number:
            stream.append(b"from refs/heads/master^0\n")
        stream.append(b"deleteall\nM 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(mail), mail))
    git(directory, "fast-import", "--quiet", "--force", input_=b"".join(stream))
    return directory


def inbox(place: Path, epochs: Iterable[Sequence[tuple[str, bytes]]]) -> Path:
    """A public-inbox of version 2."""
    for number, steps in enumerate(epochs):
        epoch(place / f"git/{number}.git", steps)
    return place


def inbox1(directory: Path, steps: Sequence[tuple[str, bytes]]) -> Path:
    """A public-inbox of version 1: ("m", a mail) adds its file, ("d", a mail) removes it."""
    repository(directory)
    stream = []
    for name, mail in steps:
        found = re.search(rb"^Message-ID: <(.*)>$", mail, re.MULTILINE)
        assert found is not None
        digest = hashlib.sha1(found[1], usedforsecurity=False).hexdigest()
        path = f"{digest[:2]}/{digest[2:]}".encode()
        stream.append(f"commit refs/heads/master\nauthor {PERSON}\ncommitter {PERSON}\ndata 4\nmail\n".encode())
        stream.append(
            b"M 100644 inline %s\ndata %d\n%s\n" % (path, len(mail), mail) if name == "m" else b"D %s\n" % path
        )
    git(directory, "fast-import", "--quiet", input_=b"".join(stream))
    return directory
