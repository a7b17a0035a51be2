"""Parse mails in processes of their own: what one mail does to such a process is found out, and costs no other mail."""

import asyncio
import contextlib
import gc
import os
import pickle
import signal
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ingestd import ingest, logs
from ingestd.errors import Permanent, UnavailableError
from ingestd.router import Router
from ingestd.store.values import Arrival, Envelope, Poison

PATIENCE = 300.0  # seconds for a chunk: a mail takes milliseconds
STARTS = 3  # of processes that end before they have answered anything, in a row: they cannot work here

Refused = str  # why policy refuses a mail
Parsed = Arrival | Poison | Refused
Letter = tuple[bytes, Envelope]

COMMAND = (sys.executable, "-P", "-m", "ingestd.sources.parsing")
MOST_JOBS = 8  # more than can be stored of what they parse, unless one says so
NICE = 10  # live mail and its database come first

_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process has to know."""

    router: Router
    list_id: str | None  # where all mails go, whatever they say
    log_level: str = "info"
    log_format: str = "auto"


class Parser:
    """Some processes that parse, started when they are needed; with `jobs` 1 it is done in this one."""

    def __init__(self, settings: Settings, jobs: int) -> None:
        """Close it at the end."""
        self._settings = settings
        self.jobs = jobs
        self._idle: list[_Process] = []
        self._free = asyncio.Semaphore(jobs)
        self._barren = 0  # processes that ended without an answer, since one answered

    async def parse(self, letters: Sequence[Letter], *, here: bool = False) -> list[Parsed]:
        """Each mail read and routed; a mail on which a process dies or hangs is Poison. `here`: in this process."""
        if here or self.jobs == 1:
            return [read(raw, envelope, self._settings) for raw, envelope in letters]
        async with self._free:
            parsed = await self._ask(letters)
        if isinstance(parsed, list):
            return parsed
        if len(letters) > 1:  # one of them is to blame: each alone
            return [one for letter in letters for one in await self.parse([letter])]
        ((raw, envelope),) = letters
        lists = () if self._settings.list_id is None else (self._settings.list_id,)
        return [ingest.poison(raw, parsed, lists, envelope)]

    async def _ask(self, letters: Sequence[Letter]) -> list[Parsed] | str:
        """The answer of a process; else how it ended."""
        process = self._idle.pop() if self._idle else await _Process.start(self._settings)
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await process.ask(letters)
        except TimeoutError:
            await process.close()
            return f"parsing takes longer than {PATIENCE:g} seconds"
        except (EOFError, OSError):
            code = await process.close()
            self._barren += not process.answered
            if self._barren >= STARTS:
                raise UnavailableError(
                    f"a process that parses mail ends with {code} before it has parsed any"
                ) from None
            return f"parsing ends the process with {code}"
        except BaseException:
            await process.close()
            raise
        self._barren = 0
        self._idle.append(process)
        return [
            replace(one, raw=raw) if isinstance(one, Arrival | Poison) else one
            for (raw, _), one in zip(letters, answer, strict=True)
        ]

    @property
    def pids(self) -> list[int]:
        """The processes that wait for work."""
        return [process.pid for process in self._idle]

    async def close(self) -> None:
        """End the processes."""
        while self._idle:
            await self._idle.pop().close()


class _Process:
    """One process that parses: chunks in, answers out, until its input ends, as when we die."""

    def __init__(
        self, process: asyncio.subprocess.Process, input_: asyncio.StreamWriter, output: asyncio.StreamReader
    ) -> None:
        self._process = process
        self.pid = process.pid
        self._input = input_
        self._output = output
        self.answered = False

    @classmethod
    async def start(cls, settings: Settings) -> "_Process":
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*COMMAND, stdin=pipe, stdout=pipe, limit=1 << 20)
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        made = cls(process, process.stdin, process.stdout)
        await made._send(settings)
        return made

    async def _send(self, value: object) -> None:
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        self._input.write(_LENGTH.pack(len(data)))
        self._input.write(data)
        await self._input.drain()

    async def ask(self, letters: Sequence[Letter]) -> list[Parsed]:
        """Its answer. EOFError or OSError when it has died."""
        await self._send(letters)
        (length,) = _LENGTH.unpack(await self._output.readexactly(_LENGTH.size))
        answer: list[Parsed] = pickle.loads(await self._output.readexactly(length))  # noqa: S301 - our own
        self.answered = True
        return answer

    async def close(self) -> int:
        """End it; its exit code, or the signal that ended it, negative."""
        # Not by its own kill(), which asks how it ended before it is told, and then nobody else hears.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        self._input.close()
        return await self._process.wait()


def spare_collector() -> None:
    """Look for garbage seldom: mails are many small values without cycles, which need no collector."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def read(raw: bytes, envelope: Envelope, settings: Settings) -> Parsed:
    """One mail, read and routed."""
    try:
        return ingest.read(raw, envelope, settings.router, (), settings.list_id)
    except Permanent as error:
        return str(error)


def main() -> None:
    """Answer chunks of mails until there are no more. The bytes of the mails don't go back."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: our other half decides
    os.nice(NICE)
    spare_collector()
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed by mistake must not be taken for an answer
    settings: Settings = _receive()
    logs.set_up(settings.log_level, settings.log_format)  # type: ignore[arg-type] # it was checked
    while True:
        letters: list[Letter] = _receive()
        parsed = [read(raw, envelope, settings) for raw, envelope in letters]
        slim = [replace(one, raw=b"") if isinstance(one, Arrival | Poison) else one for one in parsed]
        data = pickle.dumps(slim, pickle.HIGHEST_PROTOCOL)
        output.write(_LENGTH.pack(len(data)))
        output.write(data)
        output.flush()


def _receive() -> Any:  # noqa: ANN401 - whatever our other half has sent
    head = sys.stdin.buffer.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        sys.exit(0)
    return pickle.loads(sys.stdin.buffer.read(_LENGTH.unpack(head)[0]))  # noqa: S301 - it is


if __name__ == "__main__":
    main()
