"""What monitoring asks: /metrics, /healthz, /readyz on an address of their own; and a regular look at the database."""

import asyncio
import contextlib
import http.client
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from ingestd import errors, metrics, systemd
from ingestd.store import engine, migrate, read
from ingestd.store.engine import Database

log = structlog.get_logger()

LOOK = 10.0  # seconds between two looks at the database
COUNT = 6  # looks from one count of what is in it, and one line for `systemctl status`, to the next
PATIENCE_FOR_IT = 5.0  # seconds
FRESH = 2.0  # seconds for which the answer of /readyz is good
PATIENCE = 10.0  # seconds for a request
LONGEST_REQUEST = 8192
CONNECTIONS = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status line's code and reason, and the body."""

    status: str
    body: bytes
    kind: str = "text/plain; charset=utf-8"


class Monitor:
    """Looks after the health of the daemon, and says it to who asks."""

    def __init__(self, database: Database, fault: Callable[[], str | None], status: Callable[[], str]) -> None:
        """`fault` says why no mail would be taken now, beside the database; `status` is one line for people."""
        self._database = database
        self._fault = fault
        self._status = status
        self._servers: list[asyncio.Server] = []
        self._sessions: set[asyncio.Task[None]] = set()
        self._found: str | None = None  # what was wrong with the database at the last look
        self._looked: float | None = None
        self._looking = asyncio.Lock()

    # The look at the database.

    async def run(self) -> None:
        """Look at the database now and then, for ever."""
        looks = 0
        while True:
            try:
                fault = await self.unready()
                if looks % COUNT == 0:
                    systemd.notify(f"STATUS={self._status()}{f'; {fault}' if fault else ''}")
                    if fault is None:
                        await self._count()
            except Exception as error:  # mail goes on, whatever is wrong with looking after it
                log.exception("monitor_failed", error=repr(error))
            looks += 1
            await asyncio.sleep(LOOK)

    async def unready(self) -> str | None:
        """Why no mail would be accepted now, in words for anybody; None when one would be."""
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if self._looked is None or now - self._looked >= FRESH:
                before, self._found = self._found, await self._look()
                self._looked = asyncio.get_running_loop().time()
                metrics.DATABASE_UP.set(self._found is None)
                if before != self._found:
                    log.warning("database_health", state=self._found or "good")
        fault = self._fault() or self._found
        metrics.READY.set(fault is None)
        return fault

    async def _look(self) -> str | None:
        try:
            async with asyncio.timeout(PATIENCE_FOR_IT):
                await self._database.ping()
                await migrate.check(self._database)
        except errors.ConfigError as error:
            log.warning("database_unfit", error=str(error))
            return "the schema of the database is another"
        except (errors.UnavailableError, *engine.FAILURES) as error:
            log.warning("database_away", error=engine.reason(error))
            return "the database takes no mail"
        return None

    async def _count(self) -> None:
        try:
            found = await read.gauges(self._database)
        except engine.FAILURES as error:
            log.warning("database_not_counted", error=engine.reason(error))
            return
        metrics.SERIES_OPEN.set(found["series_open"])
        metrics.EVENTS_LAST_ID.set(found["events_last_id"])
        metrics.QUARANTINED.set(found["quarantined"])

    # The answers.

    async def listen(self, where: tuple[str, int] | socket.socket) -> None:
        """Answer requests at an address, or on a socket of systemd. UnavailableError naming address and cause."""
        try:
            if isinstance(where, socket.socket):
                self._servers.append(await asyncio.start_server(self._serve, sock=where, limit=LONGEST_REQUEST))
            else:
                self._servers.append(await asyncio.start_server(self._serve, *where, limit=LONGEST_REQUEST))
        except (OSError, UnicodeError) as error:
            name = where.getsockname() if isinstance(where, socket.socket) else f"{where[0]}:{where[1]}"
            cause = (
                os.strerror(error.errno) if isinstance(error, OSError) and error.errno and error.errno > 0 else error
            )
            raise errors.UnavailableError(f"cannot listen on {name} (metrics): {cause}") from error

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it answers."""
        return tuple(
            name if isinstance(name, str) else f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
            for server in self._servers
            for name in (listening.getsockname() for listening in server.sockets)
        )

    async def close(self) -> None:
        """Answer no more."""
        for server in self._servers:
            server.close()
        for session in self._sessions:
            session.cancel()
        if self._sessions:
            await asyncio.wait(self._sessions)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._sessions) >= CONNECTIONS:
            writer.close()
            return
        self._sessions.add(task)
        try:
            async with asyncio.timeout(PATIENCE):
                answer, head = await self._answer(await reader.readuntil(b"\r\n\r\n"))
                text = (
                    f"HTTP/1.1 {answer.status}\r\nContent-Type: {answer.kind}\r\nContent-Length: {len(answer.body)}\r\n"
                    "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
                )
                writer.write(text.encode("ascii") + (b"" if head else answer.body))
                await writer.drain()
        except (
            OSError,
            EOFError,
            asyncio.LimitOverrunError,
        ):  # TimeoutError is an OSError: who asks slowly hears nothing
            pass
        except asyncio.CancelledError:
            if not task.cancelling():
                raise
        finally:
            self._sessions.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, request: bytes) -> tuple[Answer, bool]:
        """The answer, and whether only its head was asked for."""
        words = request.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3:
            return Answer("400 Bad Request", b"bad request\n"), False
        if words[0] not in (b"GET", b"HEAD"):
            return Answer("405 Method Not Allowed", b"only GET and HEAD\n"), False
        pages: dict[bytes, Callable[[], Awaitable[Answer]]] = {
            b"/metrics": self._metrics,
            b"/healthz": self._healthz,
            b"/readyz": self._readyz,
        }
        page = pages.get(words[1].partition(b"?")[0])
        answer = Answer("404 Not Found", b"/metrics, /healthz or /readyz\n") if page is None else await page()
        return answer, words[0] == b"HEAD"

    async def _metrics(self) -> Answer:
        return Answer("200 OK", metrics.render(), metrics.CONTENT_TYPE)

    async def _healthz(self) -> Answer:
        return Answer("200 OK", b"ok\n")

    async def _readyz(self) -> Answer:
        fault = await self.unready()
        if fault is None:
            return Answer("200 OK", b"ready\n")
        return Answer("503 Service Unavailable", f"{fault}\n".encode())


def ask(where: tuple[str, int]) -> str:
    """What the daemon that answers there says of itself: `ready`, or why not. UnavailableError when nobody answers."""
    connection = http.client.HTTPConnection(*where, timeout=PATIENCE)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().read(1000).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise errors.UnavailableError(f"no answer on metrics {where[0]}:{where[1]}: {error}") from error
    finally:
        connection.close()
