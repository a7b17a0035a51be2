"""Ask git about a repository: its commits as changes to files, and the content of these, one after the other."""

import os
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from ingestd.errors import InputError, UnavailableError
from ingestd.sources.source import printable

# What a person's own configuration may say otherwise.
_PLAIN = ("-c", "core.quotePath=false", "-c", "log.showSignature=false", "-c", "log.follow=false")

AHEAD = 100  # objects that git is asked for before the first is read; their names must fit into a pipe


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit did to a file."""

    commit: str
    letter: str  # A, M or D
    old: str  # object before
    new: str  # object after
    path: str


class Git:
    """A repository, worked on by the program `git`. InputError, one line, for what git says is wrong."""

    def __init__(self, directory: Path) -> None:
        """`directory` is what git calls so: `.git`, or a bare repository."""
        self.directory = directory

    @staticmethod
    def find(path: Path) -> "Git | None":
        """The repository at `path`, bare or with a `.git` in it."""
        for directory in (path / ".git", path):
            if (directory / "HEAD").is_file() and (directory / "objects").is_dir():
                return Git(directory)
        return None

    def head(self) -> str | None:
        """The newest commit; None of a repository without any."""
        found = self._run("rev-parse", "--verify", "--quiet", "HEAD^{commit}", allowed=(0, 1))
        return found.strip() or None

    def names(self, commit: str) -> list[str]:
        """The files and directories at the top of a commit's tree."""
        return self._run("ls-tree", "--name-only", commit).splitlines()

    def is_ancestor(self, commit: str, of: str) -> bool:
        """Whether one commit is part of the history of another; not where it is not there at all."""
        there = self._run("cat-file", "--batch-check", input_=f"{commit}^{{commit}}\n").split()
        if there[-1:] == ["missing"]:
            return False
        try:
            self._run("merge-base", "--is-ancestor", commit, of)
        except _No:
            return False
        return True

    def changes(self, after: str | None, upto: str, *paths: str) -> Iterator[Change | str]:
        """What the commits after one did, oldest first: the name of each commit, then its changes."""
        range_ = upto if after is None else f"{after}..{upto}"
        arguments = [
            "log",
            "--topo-order",
            "--reverse",
            "--format=%H",
            "--raw",
            "--no-abbrev",
            "--no-renames",
            "--root",
        ]
        with self._started(*arguments, *(["--full-history"] if paths else []), range_, "--", *paths) as (_, output):
            commit = ""
            for line in output:
                text = line.decode(errors="surrogateescape").rstrip("\n")
                if text.startswith(":"):
                    facts, _, path = text.partition("\t")
                    _, _, old, new, letter = facts.split(" ")
                    yield Change(commit, letter[:1], old, new, path)
                elif text:
                    commit = text
                    yield commit

    def contents(self, objects: Iterable[str], largest: int) -> Generator[bytes | None, None, None]:
        """The content of each object, in order; None of one that is longer than `largest` octets."""
        waiting = iter(objects)
        with self._started("cat-file", "--batch") as (input_, output):
            asked = _ask(input_, waiting, AHEAD)
            while asked:
                more = _ask(input_, waiting, AHEAD)
                for _ in range(asked):
                    yield self._content(output, largest)
                asked = more

    def _content(self, output: IO[bytes], largest: int) -> bytes | None:
        facts = output.readline().split()
        if len(facts) != 3:
            what = f"object {facts[0].decode()} is missing" if facts else "it is not there any more"
            raise InputError(f"{printable(str(self.directory))}: {what}")
        left = int(facts[2]) + 1  # a line end follows
        if left > largest + 1:
            while left:
                left -= len(output.read(min(left, 1 << 20))) or left
            return None
        content = output.read(left)
        if len(content) < left:
            raise InputError(f"{printable(str(self.directory))}: it is not there any more")
        return content[:-1]

    def _run(self, *arguments: str, input_: str = "", allowed: tuple[int, ...] = (0,)) -> str:
        """What a command says."""
        with _program():
            done = subprocess.run(  # noqa: S603 - our own arguments, and names of objects that git gave us
                self._command(*arguments), input=input_.encode(), capture_output=True, check=False, env=_environment()
            )
        if done.returncode == 1 and 1 not in allowed:
            raise _No
        if done.returncode not in allowed:
            raise self._fault(done.stderr)
        return done.stdout.decode(errors="surrogateescape")

    @contextmanager
    def _started(self, *arguments: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """The input and output of a command that runs; killed when the block ends before it does."""
        with tempfile.TemporaryFile() as said:
            with _program():
                process = subprocess.Popen(  # noqa: S603 - as above
                    self._command(*arguments),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    env=_environment(),
                )
            input_, output = process.stdin, process.stdout
            if input_ is None or output is None:
                raise AssertionError("both are pipes")
            try:
                yield input_, output
                input_.close()
                if process.wait():
                    said.seek(0)
                    raise self._fault(said.read(2000))
            except BrokenPipeError as error:
                process.wait()
                said.seek(0)
                raise self._fault(said.read(2000)) from error
            finally:
                process.kill()
                process.wait()
                output.close()
                with suppress(BrokenPipeError):  # it was killed before it read all; where that is a fault it was said
                    input_.close()

    def _command(self, *arguments: str) -> list[str]:
        return ["git", f"--git-dir={self.directory}", *_PLAIN, *arguments]

    def _fault(self, said: bytes) -> InputError:
        lines = said.decode(errors="replace").strip().splitlines()
        return InputError(f"{printable(str(self.directory))}: git: {lines[0] if lines else 'it is not there any more'}")


class _No(Exception):  # noqa: N818 - an answer
    """What git says with exit code 1."""


def _ask(input_: IO[bytes], objects: Iterator[str], count: int) -> int:
    """Ask for some more objects; how many."""
    wanted = list(islice(objects, count))
    if wanted:
        input_.write("".join(f"{name}\n" for name in wanted).encode())
        input_.flush()
    return len(wanted)


@contextmanager
def _program() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UnavailableError("the program git is needed to read a public-inbox") from error


def _environment() -> dict[str, str]:
    """Ours, without what would lead git to another repository."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {"LC_ALL": "C"}
