"""A disk that can be filled: a tmpfs of its own for a database."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

FILLER = "filler"


class SmallDisk:
    """A tmpfs at `place`. It has no blocks that only root may use: full is full."""

    def __init__(self, place: Path, mebibytes: int) -> None:
        """Nothing is mounted before `mount`."""
        self.place = place
        self._size = mebibytes

    def mount(self) -> str | None:
        """Mount it; answer why that is not possible, or None."""
        if os.geteuid() != 0 or shutil.which("mount") is None:
            return "only root may mount a disk to fill"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={self._size}m,mode=711", "tmpfs", str(self.place)],
            capture_output=True,
            text=True,
            check=False,
        )
        return None if done.returncode == 0 else f"no disk to fill can be mounted here: {done.stderr.strip()}"

    def unmount(self) -> None:
        """Unmount it, also while somebody still has files open there."""
        subprocess.run(["umount", "-l", str(self.place)], check=True)

    def fill(self) -> None:
        """Take all that is free; to be called again for what came free since."""
        with (self.place / FILLER).open("ab") as filler:
            for size in (2**24, 2**20, 2**12):
                with contextlib.suppress(OSError):  # no room for a piece of this size
                    while True:
                        os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, size)

    def free(self) -> None:
        """Give it back."""
        (self.place / FILLER).unlink(missing_ok=True)


def unmount_below(directory: Path) -> None:
    """Unmount what a killed test run has left mounted there."""
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        place = line.split()[1]
        if Path(place).is_relative_to(directory):
            subprocess.run(["umount", "-l", place], check=True)
