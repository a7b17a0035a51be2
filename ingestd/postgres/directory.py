"""The directory of the embedded PostgreSQL: where it is, its locks, and the place of the server's socket."""

import asyncio
import fcntl
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

from ingestd.errors import ConfigError
from ingestd.postgres.programs import Account

SOCKET = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 103  # sun_path holds 108 bytes on Linux, 104 elsewhere, the NUL included
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._+-]+")  # needs no quoting in a URL or in PostgreSQL's lists of directories
ELSEWHERE = "ingestd-"  # how a socket directory outside ours begins


def default_directory() -> Path:
    """Where the data is kept unless configured: systemd's StateDirectory, root's place, else the user's own."""
    if os.environ.get("STATE_DIRECTORY"):
        return Path(os.environ["STATE_DIRECTORY"].partition(":")[0])
    if os.geteuid() == 0:
        return Path("/var/lib/ingestd")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "ingestd"


def socket_directory(directory: Path) -> Path:
    """Where the server of `directory` has its socket: `run`, or what `run` links to."""
    run = directory / "run"
    return run.readlink() if run.is_symlink() else run


def make_socket_directory(directory: Path, account: Account) -> None:
    """Make it, for `account` alone. One whose name is too long for a socket becomes a link to a short one."""
    run = directory / "run"
    remove_socket_directory(directory, account)  # what a crash left
    if _fits(run):
        run.mkdir(mode=0o700, exist_ok=True)
        account.own(run)
        run.chmod(0o700)
        return
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp's is private
        if parent and _fits(Path(parent, ELSEWHERE + "12345678")) and account.may_enter(Path(parent)):
            short = tempfile.mkdtemp(prefix=ELSEWHERE, dir=parent)
            account.own(short)
            run.symlink_to(short)
            return
    raise ConfigError(f"{run}: too long or too odd a path for a socket, and no temporary directory is any better")


def remove_socket_directory(directory: Path, account: Account) -> None:
    """Remove a socket directory outside `directory`, and the link to it. One inside stays."""
    run = directory / "run"
    if not run.is_symlink():
        return
    short = run.readlink()
    # It may be long gone, and the name somebody else's.
    if short.name.startswith(ELSEWHERE) and short.is_dir() and short.lstat().st_uid == account.uid:
        shutil.rmtree(short, ignore_errors=True)
    run.unlink()


def _fits(path: Path) -> bool:
    return len(os.fsencode(path / SOCKET)) <= SOCKET_PATH_LIMIT and PLAIN_PATH.fullmatch(str(path)) is not None


def open_lock(path: Path) -> int:
    """A descriptor to lock, of a file that is made when missing. The caller closes it, which unlocks it."""
    return open_private(path, os.O_RDWR)


def open_private(path: str | Path, flags: int) -> int:
    """Open a file, made when missing, for its owner alone; root's is for the directory's owner, who needs it later."""
    descriptor = os.open(path, flags | os.O_CREAT, 0o600)
    if os.geteuid() == 0:
        owner = os.stat(os.path.dirname(path))
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def try_lock(descriptor: int, how: int = fcntl.LOCK_EX) -> bool:
    """Lock the descriptor's file against all other openings of it; say whether that worked."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def wait_lock(descriptor: int, how: int = fcntl.LOCK_EX, limit: float | None = None) -> bool:
    """Lock as `try_lock` does, waiting for at most `limit` seconds, or as long as it takes."""
    deadline = None if limit is None else time.monotonic() + limit
    while not try_lock(descriptor, how):
        if deadline is not None and time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True
