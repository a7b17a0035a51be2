"""A scratch git repository whose patches are mailed, and into which what comes back is applied."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest


class Repository:
    """A repository that knows nothing of the machine's git configuration. Commits are a minute apart."""

    def __init__(self, directory: Path, author: str = "Ann Author", email: str = "ann@example.org") -> None:
        """Make it, with one commit tagged `base`."""
        self.directory = directory
        self._minute = 0
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }
        directory.mkdir()
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", author)
        self.git("config", "user.email", email)
        self.write("file.c", "".join(f"line {number}\n" for number in range(20)))
        self.commit("base")
        self.git("tag", "base")

    def git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run git; its standard output."""
        date = f"2026-11-02T10:{self._minute % 60:02}:00+0000"
        result = subprocess.run(
            ["git", *arguments],
            input=stdin,
            capture_output=True,
            cwd=self.directory,
            env=self._environment | {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
            check=False,
        )
        assert result.returncode == 0, (arguments, result.stderr.decode(errors="replace"), result.stdout[-500:])
        return result.stdout

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file; its path."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def change(self, line: int, text: str) -> None:
        """Replace a line of file.c."""
        path = self.directory / "file.c"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        lines[line] = f"{text}\n"
        path.write_text("".join(lines), encoding="utf-8")

    def commit(self, message: str, *options: str) -> None:
        """Commit everything there is."""
        self._minute += 1
        self.git("add", "-A")
        self.git("commit", "-q", "--cleanup=verbatim", "-F", "-", *options, stdin=message.encode() + b"\n")

    def commit_three(self, word: str = "word") -> None:
        """Three commits that change three places."""
        for number in (1, 2, 3):
            self.change(number * 5, f"{word} {number}")
            self.commit(f"part {number}: say {word}\n\nIt was not said.")

    def commit_what_mail_mangles(self) -> None:
        """Files with CR, in other charsets and with long lines as the base, and a commit that changes them all."""
        mangled = {
            "dos.txt": b"one\r\ntwo\r\nthree\r\n",
            "latin.txt": "größer\nweiter\n".encode("latin-1"),
            "koi8.txt": "больше\n".encode("koi8-r"),
            "mixed.txt": b"one\r\ntwo\nthree\r\r\nfour\r",
            "long.txt": b"x" * 3000 + b"\r\n",
        }
        for name, content in mangled.items():
            self.write(name, content)
        self.commit("files")
        self.git("tag", "-f", "base")
        for name, content in mangled.items():
            self.write(name, content.replace(b"t", b"T") + content)
        self.commit("change them all")

    @property
    def tree(self) -> str:
        """The hash of what is checked out."""
        return self.git("rev-parse", "HEAD^{tree}").decode().strip()

    def format_patch(self, *options: str, cover: tuple[str, str] | None = None) -> list[Path]:
        """Write patches of all commits since base; `cover` is its title and text."""
        into = self.directory.parent / f"patches{self._minute}-{len(list(self.directory.parent.iterdir()))}"
        arguments = [*options, *(["--cover-letter"] if cover is not None else [])]
        out = self.git("format-patch", "-o", str(into), *arguments, "base")
        files = [Path(name) for name in out.decode().split()]
        if cover is not None:
            text = files[0].read_text(encoding="utf-8")
            title, blurb = cover
            text = text.replace("*** SUBJECT HERE ***", title).replace("*** BLURB HERE ***", blurb)
            files[0].write_text(text, encoding="utf-8")
        return files

    def send_email(self, address: tuple[str, int], to: str, files: Sequence[Path], *options: str) -> list[str]:
        """Send with `git send-email`; the Message-IDs in order. Skips the test where git has no send-email."""
        program = Path(self.git("--exec-path").decode().strip(), "git-send-email")
        if not program.exists():
            pytest.skip(f"needs {program}")
        host, port = address
        out = self.git(
            "send-email",
            f"--smtp-server={host}",
            f"--smtp-server-port={port}",
            "--smtp-encryption=none",
            "--confirm=never",
            "--suppress-cc=all",
            f"--to={to}",
            *options,
            *(str(file) for file in files),
        ).decode()
        ids = [
            line.partition(":")[2].strip(" <>") for line in out.splitlines() if line.lower().startswith("message-id:")
        ]
        assert len(ids) == len(files), out
        return ids

    def apply_on_base(self, mbox: bytes, *options: str) -> str:
        """`git am` an mbox on the base; the hash of the tree that comes of it."""
        self.git("checkout", "-q", "--detach", "base")
        self.git("am", "-q", *options, stdin=mbox)
        tree = self.tree
        self.git("checkout", "-q", "main")
        return tree
