"""The bytes of a mail that is still coming: in memory while few, then in a file without a name."""

import contextlib
import tempfile
from types import TracebackType
from typing import IO, Self


class Spool:
    """Collects bytes; use it in a `with`. Writing and reading raise OSError when the disk does."""

    def __init__(self, *, memory: int, directory: str | None) -> None:
        """Keep up to `memory` bytes out of the file, which would be in `directory`."""
        self.size = 0
        self._limit = memory
        self._directory = directory
        self._memory = bytearray()  # not a list of pieces: a peer may send them byte by byte
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def write(self, piece: bytes) -> None:
        """Add `piece`."""
        self.size += len(piece)
        if self._file is None:
            self._memory += piece
            if self.size > self._limit:
                self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - closed by clear()
                self._file.write(self._memory)
                self._memory = bytearray()
        else:
            self._file.write(piece)

    def read(self) -> bytes:
        """Return all of it."""
        if self._file is None:
            return bytes(self._memory)
        self._file.seek(0)
        return self._file.read()

    def clear(self) -> None:
        """Give memory and disk back; what is written after it starts anew."""
        self.size = 0
        self._memory = bytearray()
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk, and bytes that nobody wants any more
                self._file.close()
            self._file = None
