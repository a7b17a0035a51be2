"""Open a file for reading, also a compressed one: gzip, xz and zstd, told by their first octets."""

import gzip
import io
import lzma
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from ingestd.errors import InputError, UnavailableError
from ingestd.sources.source import named, printable

GZIP = b"\x1f\x8b"  # RFC 1952 section 2.3.1
XZ = b"\xfd7zXZ\x00"  # the .xz file format, section 2.1.1.1
ZSTD = b"\x28\xb5\x2f\xfd"  # RFC 8878 section 3.1.1

# What the names of compressed files end with; their first octets decide.
SUFFIXES = (".gz", ".xz", ".zst")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The octets of a file, uncompressed. InputError, one line, for whatever goes wrong while it is open.

    UnavailableError where the program `zstd` is needed and not there.
    """
    with faults(path), _open(path) as file:
        yield file


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """InputError for a file that cannot be read, is cut off or is damaged."""
    name = printable(str(path))
    with named(name):
        try:
            yield
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
            raise InputError(f"{name}: damaged: {error}") from error


def is_compressed(path: Path) -> bool:
    """Whether the file is of a kind that `opened` takes apart."""
    with path.open("rb") as file:
        return file.read(len(XZ)).startswith((GZIP, XZ, ZSTD))


def _open(path: Path) -> BinaryIO:
    file = path.open("rb")
    start = file.read(len(XZ))
    file.seek(0)
    if not start.startswith((GZIP, XZ, ZSTD)):
        return file
    file.close()
    if start.startswith(GZIP):
        return cast("BinaryIO", gzip.open(path, "rb"))
    if start.startswith(XZ):
        return cast("BinaryIO", lzma.open(path, "rb"))
    return cast("BinaryIO", io.BufferedReader(_Zstd(path), 1 << 20))


class _Zstd(io.RawIOBase):
    """What the program zstd makes of a file: Python has no zstd before 3.14."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a file name behind `--`
                ["zstd", "-dcq", "--", str(path)],  # noqa: S607 - found as a shell finds it
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._said,
            )
        except FileNotFoundError as error:
            raise UnavailableError(f"{printable(str(path))}: the program zstd is needed to read it") from error

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # what BufferedReader gives us
        """Read some octets. EOFError where zstd fails: then the file is cut off or damaged."""
        output = self._process.stdout
        count = output.readinto(buffer) if isinstance(output, io.BufferedReader) else 0
        if not count and self._process.wait():
            self._said.seek(0)
            said = self._said.read(1000).decode(errors="replace").strip().splitlines()
            raise EOFError(said[0].removeprefix(f"{self._path} : ").removeprefix("zstd: ") if said else "zstd failed")
        return count

    def close(self) -> None:
        """End the program, if it has not ended."""
        if not self.closed:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._said.close()
        super().close()
