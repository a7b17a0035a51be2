"""The HTTP server, in our own event loop: uvicorn without its signal handlers."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ingestd.errors import UnavailableError

log = structlog.get_logger()

GRACE = 10  # seconds that requests under way get when we stop
ASKING = 2  # seconds that those get who have connected and not asked yet
BACKLOG = 128


class _Quiet(uvicorn.Server):
    """Signals are the daemon's, and nobody is turned away when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and wait a little for the questions of the last ones: uvicorn would close those."""
        for server in self.servers:
            server.close()
        until = time.monotonic() + ASKING
        while True:
            await asyncio.sleep(0.05)  # at least once: what was accepted last is not among the connections at once
            waiting = [one for one in self.server_state.connections if isinstance(one, H11Protocol) and not one.cycle]
            if not waiting or time.monotonic() > until:
                break
        await super().shutdown(sockets)


class Server:
    """Serves an application at an address."""

    def __init__(self, app: Any, *, proxies: tuple[str, ...] = (), connections: int = 500) -> None:  # noqa: ANN401 - ASGI
        """`proxies`: addresses that may say in X-Forwarded-For and X-Forwarded-Proto who asks, and how."""
        self._server = _Quiet(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(proxies),
                forwarded_allow_ips=list(proxies),
                limit_concurrency=connections,
                timeout_graceful_shutdown=GRACE,
                timeout_keep_alive=15,
                h11_max_incomplete_event_size=64 * 1024,
            )
        )
        self._sockets: list[socket.socket] = []

    def open(self, where: tuple[str, int] | socket.socket) -> None:
        """Take an address. UnavailableError naming it and the cause when it cannot be had."""
        if isinstance(where, socket.socket):
            self._sockets.append(where)
            return
        host, port = where
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
            listening.listen(BACKLOG)
        except (OSError, UnicodeError) as error:
            listening.close()
            cause = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
            raise UnavailableError(f"cannot listen on {host}:{port} (api): {cause}") from error
        listening.setblocking(False)
        self._sockets.append(listening)

    @property
    def addresses(self) -> list[str]:
        """Where it answers."""
        names = [one.getsockname() for one in self._sockets]
        return [f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}" for name in names]

    async def run(self) -> None:
        """Serve until `stop`."""
        await self._server.serve(sockets=self._sockets)

    async def stop(self, task: "asyncio.Task[None]") -> None:
        """Let requests under way finish, and end."""
        self._server.should_exit = True
        await asyncio.wait({task}, timeout=GRACE + 5)
