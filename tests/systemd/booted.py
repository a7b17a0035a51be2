"""A real systemd as the first process of namespaces of its own, with our units and next to nothing else."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = Path("/lib/systemd/systemd")
NAMESPACES = [f"--{kind}" for kind in ("pid", "mount", "cgroup", "net", "uts", "ipc")]
PATIENCE = 60.0  # seconds
TARGETS = ("basic", "multi-user", "network-online", "shutdown", "sockets", "sysinit", "umount")

# Hides what the machine would start, and what it has; nothing of this is seen outside.
BOOT = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/etc/upper /run/etc/work /run/lock
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work overlay /etc
for directory in /etc/systemd/system /lib/systemd/system /lib/systemd/system-generators /var/lib /var/cache; do
    if [ -d $directory ]; then mount -t tmpfs -o mode=755 tmpfs $directory; fi
done
for target in $TARGETS test; do
    printf '[Unit]\\nDefaultDependencies=no\\nAllowIsolate=yes\\n' > /lib/systemd/system/$target.target
done
umount -R -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
touch /run/log.txt
mount --bind /run/log.txt /dev/console
mkdir /etc/ingestd
mount --make-rshared /
export container=test
exec /lib/systemd/systemd --system --unit=test.target --log-target=console --show-status=no
"""


class Systemd:
    """It runs from the construction until `stop`. `root` leads to its file system from outside."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "systemd.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["unshare", "--fork", "--kill-child", "--mount-proc", *NAMESPACES, "sh", "-c", BOOT],
                env={"PATH": os.environ["PATH"], "TARGETS": " ".join(TARGETS)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_for(lambda: self._first() is not None and self.run("systemctl", "is-system-running").returncode == 0)
        self.root = Path(f"/proc/{self._first()}/root")

    def _first(self) -> int | None:
        """The first process, as we number it."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text(encoding="ascii")
        return int(children.split()[0]) if children else None

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.skip(f"no systemd in namespaces here: {self._log.read_text(errors='replace')[-500:]}")
            time.sleep(0.1)

    def _entered(self, *command: str) -> list[str]:
        return ["nsenter", "-t", str(self._first()), "-m", "-p", "-n", "-i", "-u", "-C", *command]

    def run(self, *command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command there."""
        return subprocess.run(
            self._entered(*command), input=stdin, capture_output=True, timeout=PATIENCE * 2, check=False
        )

    def begin(self, *command: str) -> "subprocess.Popen[bytes]":
        """Begin a command there, and go on; its standard output and error are one."""
        return subprocess.Popen(self._entered(*command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def systemctl(self, *arguments: str) -> None:
        """Run systemctl; it has to succeed."""
        result = self.run("systemctl", *arguments)
        assert result.returncode == 0, (arguments, result.stderr.decode(), self.log())

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.decode().strip()

    def pid(self, unit: str) -> int:
        """The unit's main process, as we number it."""
        inside = self.show(unit, "MainPID")
        for process in Path("/proc").glob("[0-9]*"):
            try:
                numbers = next(
                    line.split()[1:]
                    for line in (process / "status").read_text(encoding="ascii", errors="replace").splitlines()
                    if line.startswith("NSpid:")
                )
                ours = os.readlink(process / "ns/mnt"), os.readlink(process / "ns/cgroup")
            except (OSError, IndexError):
                continue
            if numbers[1:] == [inside] and ours[1] == os.readlink(f"/proc/{self._first()}/ns/cgroup"):
                return int(process.name)
        raise AssertionError(f"{unit} has no process {inside}: {self.log()}")

    def install(self, *files: Path) -> None:
        """Put unit files where an administrator would."""
        for file in files:
            shutil.copy(file, self.root / "etc/systemd/system" / file.name)
        self.systemctl("daemon-reload")

    def change(self, unit: str, text: str) -> None:
        """What `systemctl edit` does."""
        place = self.root / f"etc/systemd/system/{unit}.d"
        place.mkdir(exist_ok=True)
        (place / f"{len(list(place.iterdir()))}.conf").write_text(text, encoding="utf-8")
        self.systemctl("daemon-reload")

    def log(self) -> str:
        """What systemd and its services wrote."""
        return "".join(
            path.read_text(encoding="utf-8", errors="replace")[-4000:]
            for path in (self._log, self.root / "run/log.txt", self.root / "run/service.log")
            if path.exists()
        )

    def stop(self) -> None:
        """End it, and with it every process in it."""
        self._process.kill()
        self._process.wait(PATIENCE)
