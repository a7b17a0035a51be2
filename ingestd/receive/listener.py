"""The sockets: accept connections, count them, let them finish."""

import asyncio
import contextlib
import errno
import os
import shutil
import socket
import stat
import sys
from pathlib import Path
from typing import Literal

import structlog

from ingestd import errors, metrics
from ingestd.receive.limits import Access, Connections, Limits
from ingestd.receive.session import Session
from ingestd.receive.sink import Sink
from ingestd.receive.wire import Wire

log = structlog.get_logger()

BACKLOG = 1024


class Listener:
    """Takes mail from one or more addresses by one protocol. Start it, and drain it at the end."""

    def __init__(
        self,
        sink: Sink,
        *,
        protocol: Literal["lmtp", "smtp"],
        hostname: str,
        limits: Limits,
        connections: Connections,
        access: Access | None = None,
    ) -> None:
        """`connections` is shared by all listeners. `limits` and `access` may be replaced, for new connections."""
        self.limits = limits
        self.access = access or Access()
        self.protocol = protocol
        self._sink = sink
        self._hostname = hostname
        self._connections = connections
        self._servers: list[asyncio.Server] = []
        self._paths: list[tuple[Path, int]] = []  # unix sockets of ours, each with its inode
        self._sessions: set[Wire] = set()
        self._draining = False

    async def start_tcp(self, host: str, port: int) -> None:
        """Listen on `host` (each address it has) and `port`; 0 takes a free one.

        Raises `errors.UnavailableError` naming address and cause.
        """
        loop = asyncio.get_running_loop()
        try:
            self._servers.append(await loop.create_server(self._accept, host, port, backlog=BACKLOG))
        except (OSError, UnicodeError) as error:  # UnicodeError: what can be no host name
            raise self._unavailable(_join(host, port), error) from error

    async def start_unix(self, path: str | os.PathLike[str], mode: int = 0o660, group: str = "") -> None:
        """Listen on a unix socket with these permissions, of this group unless it is "".

        A socket that a dead process has left is replaced.
        Raises `errors.UnavailableError` naming path and cause.
        """
        path = Path(path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _remove_stale(path)
            listening.bind(str(path))
            if group:
                shutil.chown(path, group=group)
            path.chmod(mode)  # nobody can connect before listen()
            inode = path.stat().st_ino
            await self.start_socket(listening)
        except (OSError, LookupError) as error:  # LookupError: there is no such group
            listening.close()
            raise self._unavailable(str(path), error) from error
        self._paths.append((path, inode))

    async def start_socket(self, listening: socket.socket) -> None:
        """Listen on a bound stream socket, TCP or unix, as systemd hands it over."""
        loop = asyncio.get_running_loop()
        if listening.family != socket.AF_UNIX:
            server = await loop.create_server(self._accept, sock=listening, backlog=BACKLOG)
        elif sys.version_info >= (3, 13):
            # Else asyncio removes the path at the end, also one that is systemd's.
            server = await loop.create_unix_server(self._accept, sock=listening, backlog=BACKLOG, cleanup_socket=False)
        else:
            server = await loop.create_unix_server(self._accept, sock=listening, backlog=BACKLOG)
        self._servers.append(server)

    def _unavailable(self, where: str, error: Exception) -> errors.UnavailableError:
        cause = str(error)
        if isinstance(error, socket.gaierror):
            cause = error.strerror or cause
        elif isinstance(error, OSError) and error.errno:  # asyncio makes sentences of these, with the address in them
            cause = os.strerror(error.errno)
        return errors.UnavailableError(f"cannot listen on {where} ({self.protocol.upper()}): {cause}")

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens: `127.0.0.1:8024`, `[::1]:8024` or a path."""
        names = (listening.getsockname() for server in self._servers for listening in server.sockets)
        return tuple(name if isinstance(name, str) else _join(name[0], name[1]) for name in names)

    @property
    def sessions(self) -> int:
        """How many connections it has."""
        return len(self._sessions)

    def _accept(self) -> asyncio.Protocol:
        if self._draining:
            return _Refusal("421 4.3.2 Shutting down")
        if not self._connections.enter():
            return _Refusal("421 4.3.2 Too many connections")
        try:
            session = Session(
                self._sink,
                protocol=self.protocol,
                hostname=self._hostname,
                limits=self.limits,
                access=self.access,
                loop=asyncio.get_running_loop(),
                ended=self._forget,
            )
        except Exception as error:  # else asyncio would leave the socket open, and nobody would count it
            self._connections.leave()
            log.exception("session_failed", error=repr(error))
            return _Refusal("421 4.3.0 Try again later")
        self._sessions.add(session)
        metrics.CONNECTIONS.labels("accepted").inc()
        return session

    def _forget(self, session: Wire) -> None:
        self._sessions.discard(session)
        self._connections.leave()

    async def drain(self, grace: float) -> int:
        """Stop: no new connections, 421 to the idle ones, and up to `grace` seconds for mails under way.

        Returns how many connections had to be cut after that; their peers keep their mail. May be called twice.
        """
        for server in self._servers:
            server.close()
        if grace > 0:
            for _ in range(3):  # what was accepted already becomes a session, and is served
                await asyncio.sleep(0)
        self._draining = True
        for path, inode in self._paths:
            with contextlib.suppress(OSError):  # gone, or not ours any more
                if path.stat().st_ino == inode:
                    path.unlink()
        self._servers.clear()
        self._paths.clear()
        for session in tuple(self._sessions):
            session.dismiss(at_once=grace <= 0)
        await self._wait(grace)
        cut = tuple(self._sessions)
        for session in cut:
            log.warning("connection_cut", peer=session.peer, phase=session.phase.value)
            session.kill()
        await self._wait(None)
        return len(cut)

    async def _wait(self, grace: float | None) -> None:
        if self._sessions:
            await asyncio.wait([session.finished for session in self._sessions], timeout=grace)


class _Refusal(asyncio.Protocol):
    """Says one line and closes."""

    def __init__(self, reply: str) -> None:
        self._reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        log.warning("connection_refused", outcome=self._reply)
        metrics.CONNECTIONS.labels("refused").inc()
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(self._reply.encode("ascii") + b"\r\n")
        transport.close()


def _remove_stale(path: Path) -> None:
    """Remove the socket file of a process that is gone. Raises OSError when there is something else."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError("a file that is no socket is in its place")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except BlockingIOError:
            raise OSError(errno.EADDRINUSE, "in use") from None  # its backlog is full
        else:
            raise OSError(errno.EADDRINUSE, "in use")


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
