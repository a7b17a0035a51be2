"""Directories for a PostgreSQL: pytest's own are closed to the user that it runs as when root runs the tests."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from small_disk import unmount_below

PREFIX = "ingestd-test-"
LOCK = "test.lock"  # held as long as the test run lives
YOUNG = 60.0  # seconds; a directory may be made but not locked yet


@contextmanager
def open_directory() -> Iterator[Path]:
    """An empty directory with a short path, gone at the end with all that tests put there."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if os.geteuid() == 0:
        directory.chmod(0o711)
    (directory / "data").mkdir(mode=0o711 if os.geteuid() == 0 else 0o700)
    try:
        yield directory / "data"
    finally:
        for path in directory.glob("**/server.lock"):  # a server whose daemon was killed still has to end
            with path.open() as running:
                fcntl.flock(running, fcntl.LOCK_EX)
        shutil.rmtree(directory)
        os.close(lock)


def remove_left_over() -> None:
    """Remove the directories of test runs that were killed: old ones of ours whose lock nobody holds."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        if path.stat().st_uid != os.geteuid() or path.stat().st_mtime > time.time() - YOUNG:
            continue
        with path.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            unmount_below(path.parent)
            shutil.rmtree(path.parent, ignore_errors=True)
