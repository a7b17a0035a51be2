"""An archive in and its patches out again: `git mailinfo` and `git am` get from us what they get from the mails."""

import asyncio
import hashlib
import random
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import pytest
from daemon_process import DaemonProcess
from git_mail import ENVIRONMENT, mailinfo, mails_of, numstat
from preimage import CannotError, Tree

from end_to_end import database
from ingestd.mail import export
from ingestd.mail.parse import parse
from ingestd.store import read
from ingestd.store.engine import Database

SEED = 20260411
PATIENCE = 560.0  # seconds for a command on the whole archive
FROM_LINE = b"From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n"

# Where our patch differs from what git makes of the mail, and why.
DIFFER = {
    "005072.eml": ("message",),  # a Latin-1 letter in a text that says UTF-8: git leaves the byte, we read it
    "015043.eml": ("author",),  # a patch file pasted below a banner: its author is whom the file names
    "015044.eml": ("author",),
    "016410.eml": ("author", "date", "message"),  # a patch file pasted whole: git takes its head for the message
}
UNREADABLE = {"012055.eml", "012057.eml"}  # to git, which knows no `charset=yes`


@dataclass(frozen=True)
class Archive:
    """Mails in a database, and the command line to ask of it."""

    command: DaemonProcess
    url: str
    names: dict[str, str]  # sha256 of a mail -> file name

    def export(self, keys: Sequence[str], *options: str) -> bytes:
        """What `ingestd export` writes for these mails."""
        done = self.command.run("export", *options, "-", stdin="\n".join(keys).encode(), patience=PATIENCE)
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout

    def entries(self, keys: Sequence[str]) -> list[bytes]:
        """What it writes, cut into mails."""
        found = [FROM_LINE + entry for entry in self.export(keys).split(FROM_LINE)[1:]]
        assert len(found) == len(keys)
        return found

    def raws(self, keys: Sequence[str]) -> list[bytes]:
        """The mails as they were imported."""
        found = mails_of(self.export(keys, "--raw"))
        assert len(found) == len(keys)
        assert all(_digest(raw) in self.names for raw in found)
        return found


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


@contextmanager
def imported(files: Sequence[Path], directory: Path, server_url: str, template: str) -> Iterator[Archive]:
    """Mails in a database of their own, gone when the block ends."""
    folder = directory / "mails"
    folder.mkdir()
    names = {}
    for file in files:
        (folder / file.name).symlink_to(file)
        names[_digest(file.read_bytes().removesuffix(b"\n") + b"\n")] = file.name
    with database.fresh(server_url, template) as url:
        command = DaemonProcess(directory, database_url=url)
        done = command.run("import", "--list", "archive.example.org", str(folder), patience=PATIENCE)
        assert done.returncode == 0, done.stderr
        yield Archive(command, url, names)


@pytest.fixture(scope="module")
def archive(
    corpus: Path, shared: Path, server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archive]:
    """All of linux-aspeed, and the QEMU mails."""
    files = sorted(corpus.glob("*.eml")) + sorted((shared / "corpus/qemu-devel").glob("*.eml"))
    with imported(files, tmp_path_factory.mktemp("archive"), server_url, template) as found:
        yield found


@pytest.fixture(scope="module")
def beginning(
    corpus: Path, server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archive]:
    """The first mails of linux-aspeed."""
    files = sorted(corpus.glob("*.eml"))[:250]
    with imported(files, tmp_path_factory.mktemp("beginning"), server_url, template) as found:
        yield found


# git mailinfo

PATCHES = """
    SELECT m.key
    FROM ingestd.message m
    JOIN ingestd.patch p ON p.message = m.id
    WHERE m.kind = 'patch' AND p.diff IS NOT NULL
    ORDER BY m.id
"""


def _compare(raw: bytes, entry: bytes, directory: Path) -> tuple[str, ...] | None:
    """In what git reads two mails otherwise; None where it cannot read the first."""
    mail = parse(raw)
    theirs, ours = mailinfo(raw, directory), mailinfo(entry, directory)
    assert ours is not None
    if theirs is None:
        return None
    message, patch = theirs.message, theirs.patch
    found = []
    if re.search(rb"^(?:diff --git|\+\+\+) .*\r$", patch, re.MULTILINE):
        message, patch = message.replace(b"\r\n", b"\n"), patch.replace(b"\r\n", b"\n")
        found.append("line ends")
    if (ours.author, ours.email) != (theirs.author, theirs.email):
        undone = "munged" in mail.author_evidence or mail.munged
        found.append("munged" if undone and (ours.author, ours.email) == mail.author else "author")
    found += [name for name in ("subject", "date") if getattr(ours, name) != getattr(theirs, name)]
    if ours.message != message:
        found.append("message")
    own = ours.patch.rstrip(b"\n")
    behind = patch[len(own) :] if patch.startswith(own) else b"@@ -"
    if re.search(rb"^(?:@@ -|diff |--- a)", behind, re.MULTILINE) and (
        numstat(patch, directory) != numstat(ours.patch, directory) or _hunks(ours.patch) != _hunks(patch)
    ):
        found.append("patch")
    return tuple(found)


def _hunks(patch: bytes) -> list[bytes]:
    """Every hunk of a patch, header and lines."""
    lines = iter(patch.split(b"\n"))
    found = []
    for line in lines:
        if counts := re.match(rb"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@", line):
            old, new = (int(count or 1) for count in counts.groups())
            found.append(line)
            while old > 0 or new > 0:
                line = next(lines, b"\0")  # noqa: PLW2901 - the hunk's lines are no lines of the patch's head
                old -= line[:1] not in (b"+", b"\\")
                new -= line[:1] not in (b"-", b"\\")
                found.append(line)
    return found


def _judge(archive: Archive, directory: Path) -> tuple[int, set[str], Counter[str], dict[str, tuple[str, ...]]]:
    """How many patches were compared, which git cannot read, how many are munged or CRLF, and what else differs."""
    keys = [row["key"] for row in database.select(archive.url, PATCHES)]
    raws, entries = archive.raws(keys), archive.entries(keys)
    places: SimpleQueue[Path] = SimpleQueue()
    for number in range(4):
        (directory / str(number)).mkdir()
        places.put(directory / str(number))

    def one(pair: tuple[bytes, bytes]) -> tuple[str, ...] | None:
        place = places.get()
        try:
            return _compare(*pair, place)
        finally:
            places.put(place)

    unreadable = set()
    classes: Counter[str] = Counter()
    differ = {}
    with ThreadPoolExecutor(4) as pool:
        for raw, found in zip(raws, pool.map(one, zip(raws, entries, strict=True)), strict=True):
            name = archive.names[_digest(raw)]
            if found is None:
                unreadable.add(name)
                continue
            classes.update(set(found) & {"munged", "line ends"})
            if rest := tuple(one for one in found if one not in ("munged", "line ends")):
                differ[name] = rest
    return len(keys) - len(unreadable), unreadable, classes, differ


def test_git_reads_from_us_what_the_first_mails_say(beginning: Archive, tmp_path: Path) -> None:
    seen, unreadable, classes, differ = _judge(beginning, tmp_path)
    assert seen > 60
    assert (unreadable, classes, differ) == (set(), Counter(), {})


@pytest.mark.long
def test_git_reads_from_us_what_the_archive_says(archive: Archive, tmp_path: Path) -> None:
    seen, unreadable, classes, differ = _judge(archive, tmp_path)
    assert differ == DIFFER
    assert unreadable == UNREADABLE
    assert classes == {"munged": 14, "line ends": 9}
    assert seen == 6_741


# git am

SERIES = "SELECT key FROM ingestd.series WHERE complete AND kind = 'series' ORDER BY key COLLATE \"C\""


async def _ask(url: str, keys: Sequence[str]) -> list[tuple[list[bytes], list[export.Patch]]]:
    """Of each series the mails to apply, as they came and as we read them."""
    store = Database(url)
    try:
        found = []
        for key in keys:
            async with store.transaction() as connection:
                ids, missing = await read.series_of(connection, await read.find(connection, key, None))
                assert missing == ()
                mails = [await read.raw(connection, id_) for id_ in ids]
                found.append((mails, [await read.patch(connection, id_) for id_ in ids]))
        return found
    finally:
        await store.close()


class Workshop:
    """A repository in which series are applied to files made up for each."""

    def __init__(self, directory: Path) -> None:
        """Make it."""
        self.directory = directory / "workshop"
        self.directory.mkdir()
        self.git("init", "-q")
        self.git("config", "user.name", "Tess Tester")
        self.git("config", "user.email", "tess@example.org")

    def git(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run git, however it ends."""
        return subprocess.run(
            ["git", *arguments], input=stdin, capture_output=True, check=False, cwd=self.directory, env=ENVIRONMENT
        )

    def prepare(self, files: dict[bytes, tuple[bytes, bytes]]) -> None:
        """Have a commit `base` of these files alone."""
        stream = b"reset refs/tags/base\n\ncommit refs/tags/base\ncommitter T <t@example.org> 0 +0000\ndata 0\n"
        for path, (mode, content) in files.items():
            stream += b"M %b inline %b\ndata %d\n%b\n" % (mode, path, len(content), content)
        assert self.git("fast-import", "--quiet", "--force", stdin=stream).returncode == 0

    def apply(self, mails: Sequence[bytes]) -> list[str] | None:
        """`git am` one mail after the other on `base`: the tree after each; None where it refuses one."""
        assert self.git("checkout", "-q", "-f", "--detach", "base").returncode == 0
        files = []
        for number, mail in enumerate(mails):
            files.append(self.directory.parent / f"{number}.eml")
            files[-1].write_bytes(mail)
        if self.git("am", "-q", *map(str, files)).returncode:
            self.git("am", "--abort")
            return None
        return self.git("log", "--reverse", "--format=%T", "base..").stdout.decode().split()


def _apply(archive: Archive, directory: Path, count: int) -> tuple[int, Counter[str], list[str]]:
    """How many series came out the same, how many had to be skipped for what reason, and which came out otherwise."""
    keys = [row["key"] for row in database.select(archive.url, SERIES)]
    chosen = random.Random(SEED).sample(keys, min(count, len(keys)))
    workshop = Workshop(directory)
    same, skipped, other = 0, Counter[str](), []
    for key, (mails, patches) in zip(chosen, asyncio.run(_ask(archive.url, chosen)), strict=True):
        tree = Tree()
        try:
            for patch in patches:
                tree.apply(patch.diff)
        except CannotError as error:
            skipped[str(error)] += 1
            continue
        workshop.prepare(tree.contents())
        theirs = workshop.apply(mails)
        ours = workshop.apply([export.mbox_entry(patch) for patch in patches])
        if theirs is None:
            skipped["git am refuses the mails, and takes ours" if ours else "git am refuses the mails"] += 1
        elif ours == theirs and len(ours) == len(mails):
            same += 1
        else:
            other.append(key)
    return same, skipped, other


def test_git_am_makes_of_our_series_what_it_makes_of_the_first_mails(beginning: Archive, tmp_path: Path) -> None:
    same, skipped, other = _apply(beginning, tmp_path, 8)
    assert (other, skipped) == ([], Counter())
    assert same > 3


@pytest.mark.long
def test_git_am_makes_of_our_series_what_it_makes_of_the_archive(archive: Archive, tmp_path: Path) -> None:
    same, skipped, other = _apply(archive, tmp_path, 300)
    assert other == []
    assert skipped == {"git am refuses the mails, and takes ours": 2}  # CRLF within base64; `charset=yes`
    assert same == 298
