"""One connection below its commands: lines and chunks in, replies out, a timer for each phase, the end of it."""

import asyncio
import contextlib
import enum
import ipaddress
import secrets
import socket
import ssl
import struct
from collections.abc import Callable

import structlog
from aiosmtpd import smtp

from ingestd import metrics
from ingestd.receive.limits import Limits

log = structlog.get_logger()

READ = 2**18  # as much as the event loop reads at once
LINGER = 10.0  # seconds a peer gets to read our last words
HANDSHAKE = 60.0  # seconds for a peer to agree on TLS
COURTESY = 2.0  # seconds for each command of a peer that has begun something when we shut down


class Phase(enum.Enum):
    """What the connection waits for; it decides who may interrupt it."""

    COMMAND = "command"  # for the peer: times out, ends with the connection or a drain
    TLS = "tls"  # for the handshake: times out by itself, ends with a drain
    ROOM = "room"  # for ours before the 354: no time-out here, ends with the connection or a drain
    DATA = "data"  # for the peer: times out by progress; a drain lets it finish
    COMMIT = "commit"  # for ours: nothing but the end of the process interrupts it


class Gone(Exception):  # noqa: N818 - peers may leave
    """The peer has left, or says no more."""


class BadLine(Exception):  # noqa: N818 - it is a line, not a fault of ours
    """A line that is no command. The first argument is the reply."""


class Wire(smtp.SMTP):
    """What `aiosmtpd` does for a connection, with its timers, reads and endings replaced.

    aiosmtpd runs one idle timer over everything, cancels the work when the peer half-closes, has no bound on
    a peer that does not read, and reads DATA line by line through a StreamReader of 1001 bytes.
    """

    line_length_limit = 2**16  # here: how far the stream reads ahead of us; lines may be of any length

    def __init__(
        self,
        *,
        hostname: str,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        ended: Callable[["Wire"], None],
    ) -> None:
        """`ended` is called once, when the connection is gone and its work done."""
        super().__init__(
            None,
            data_size_limit=limits.max_size,
            enable_SMTPUTF8=True,
            hostname=hostname,  # given: aiosmtpd would look it up for each connection
            ident="ingestd",
            timeout=limits.idle_timeout,
            loop=loop,
        )
        self.limits = limits
        self.peer = "?"
        self.local = False  # the peer is on this machine
        self.secure = False  # TLS is on
        self.phase = Phase.COMMAND
        self.finished: asyncio.Future[None] = loop.create_future()
        self._ended = ended
        self._input = bytearray()  # read, but not used yet
        self._output = bytearray()  # said, but not sent yet
        self._deadline: float | None = None
        self._closing = False
        self._dismissed = False
        self._waiting_since = loop.time()  # when we began to wait for a command

    async def serve(self) -> None:
        """Talk until the end."""
        raise NotImplementedError

    @property
    def under_way(self) -> bool:
        """Whether the peer has begun something that it should be let finish when we shut down."""
        raise NotImplementedError

    # The connection, as the event loop sees it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out who it is and start talking."""
        self.peer, self.local = _peer(transport)
        super().connection_made(transport)
        if self._handler_coroutine is not None:
            self._handler_coroutine.add_done_callback(self._finish)

    def _finish(self, _: "asyncio.Task[None]") -> None:
        self.finished.set_result(None)
        self._ended(self)

    def eof_received(self) -> bool | None:
        """Let what is under way finish: the peer has said all it wants, but may still read our reply."""
        self._interrupt_waiting()
        return super(smtp.SMTP, self).eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """Wake up whoever reads or writes. A commit goes on: it is the mail that matters, not the peer."""
        self._stop_timeout()
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        super(smtp.SMTP, self).connection_lost(error)
        self._closing = True
        self._interrupt_waiting()

    def _interrupt_waiting(self) -> None:
        """Give up the place in the queue for room: no mail can come any more."""
        if self.phase is Phase.ROOM:
            self.cancel()

    async def _handle_client(self) -> None:
        """Talk, and see to it that the connection is gone when this returns."""
        try:
            await self.serve()
        except Gone as gone:
            if self.phase is not Phase.COMMAND:
                log.info("peer_left", peer=self.peer, phase=self.phase.value, error=str(gone))
        except Exception as error:  # noqa: BLE001 - logged; the peer hears that it is our fault
            self.say("421 4.3.0 " + self.log_fault("session_failed", error))
        finally:
            self.hang_up()
        with contextlib.suppress(OSError):  # it went before us
            await self._writer.wait_closed()

    # Timers. One handle for the connection: a deadline moves with each line, and re-arming each time is dear.

    def _reset_timeout(self, duration: float | None = None) -> None:
        """Expect the peer to go on within `duration` seconds, by default the idle timeout."""
        self._expect_until(self.loop.time() + (duration or self.limits.idle_timeout))

    def _expect_until(self, deadline: float) -> None:
        self._deadline = deadline
        handle = self._timeout_handle
        if handle is None or handle.when() > deadline:
            if handle is not None:
                handle.cancel()
            self._timeout_handle = self.loop.call_at(deadline, self._timeout_cb)

    def _stop_timeout(self) -> None:
        """Now the peer waits for us."""
        self._deadline = None

    def _timeout_cb(self) -> None:
        self._timeout_handle = None
        if self._deadline is None:
            return
        if self._closing:
            self._abort()
        elif self.loop.time() < self._deadline:
            self._expect_until(self._deadline)
        else:
            log.info("peer_timed_out", peer=self.peer, phase=self.phase.value)
            self.say("421 4.3.2 Shutting down" if self._dismissed else "421 4.4.2 Timed out")
            self.hang_up()

    # TLS.

    def has_more(self) -> bool:
        """Whether the peer has sent more than was read as commands."""
        return bool(self._input or self._reader._buffer)  # type: ignore[attr-defined] # noqa: SLF001 - it has no other way

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Say 220 and go on encrypted. `Gone` when the handshake fails."""
        plain = self.transport
        if not isinstance(plain, asyncio.WriteTransport):
            raise Gone("before TLS")
        self.say("220 2.0.0 Go ahead")
        self._writer.write(bytes(self._output))
        self._output.clear()
        self.phase = Phase.TLS
        failure: Exception | None = None
        secure: asyncio.Transport | None = None
        try:
            # Nothing of the handshake can be read before: between the reply and this the event loop does not run.
            secure = await self.loop.start_tls(plain, self, context, server_side=True, ssl_handshake_timeout=HANDSHAKE)
        except (OSError, EOFError) as error:  # an SSLError is an OSError
            failure = error
        finally:
            self.phase = Phase.COMMAND
            if secure is None:
                plain.abort()
                self.connection_lost(None)  # asyncio does not tell when it happens within the handshake
        if secure is None:
            log.info("tls_failed", peer=self.peer, error=repr(failure) if failure else "connection lost")
            raise Gone("no TLS")
        # As asyncio.StreamWriter.start_tls does it, and for the reader as well, which it forgets.
        self.transport = self._transport = self._reader._transport = self._writer._transport = secure  # type: ignore[attr-defined] # noqa: SLF001
        self._over_ssl = True
        self.secure = True

    # The end.

    def hang_up(self) -> None:
        """Send what was said and close; a peer that does not read it is cut off after LINGER seconds."""
        if self._closing or self.transport is None:
            return
        self._closing = True
        self._writer.write(bytes(self._output))
        self._output.clear()
        self._writer.close()
        self._expect_until(self.loop.time() + LINGER)

    def dismiss(self, *, at_once: bool = False) -> None:
        """Say 421 and close: now, when the peer has nothing under way, or `at_once`; else after its mail."""
        self._dismissed = True
        if self.phase is Phase.TLS:
            self._abort()
        if self._closing or self.phase not in (Phase.COMMAND, Phase.ROOM):
            return
        if self.phase is Phase.COMMAND and self.under_way and not at_once:
            self._expect_until(self._waiting_since + COURTESY)
            return
        self.say("421 4.3.2 Shutting down")
        self.hang_up()
        self._interrupt_waiting()

    def _abort(self) -> None:
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    def cancel(self) -> None:
        """Stop at once, whatever is under way."""
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()

    def kill(self) -> None:
        """Stop at once and cut the connection; the peer hears nothing, so it keeps its mail."""
        self._abort()
        self.cancel()

    # Bytes.

    def say(self, *replies: str) -> None:
        """Put whole reply lines, without CRLF, after those not sent yet."""
        if replies:
            metrics.REPLIES.labels(replies[-1][:3]).inc()
        for reply in replies:
            self._output += reply.encode("ascii") + b"\r\n"

    async def push(self, status: str | bytes) -> None:
        """Say it the way aiosmtpd's own commands do."""
        self._output += (status.encode("ascii") if isinstance(status, str) else status) + b"\r\n"

    async def flush(self) -> None:
        """Send what was said."""
        if self._output:
            self._writer.write(bytes(self._output))
            self._output.clear()
            try:
                await self._writer.drain()
            except OSError as error:
                raise Gone(str(error)) from error

    async def next_line(self) -> bytes:
        """Return the next command without its CRLF. Raises `BadLine`; `Gone` when there is none.

        Replies are held back while the peer's next command is here already (RFC 2920 3.2).
        """
        line = self._cut_line(0)
        if line is None:
            # For the whole line: a byte now and then does not keep the connection.
            self._waiting_since = self.loop.time()
            self._reset_timeout(COURTESY if self._dismissed else None)
            while line is None:
                seen = len(self._input)
                if seen > self.limits.max_line:
                    await self._skip_line()
                    raise BadLine("500 5.5.2 Line too long")
                await self.flush()
                self._input += await self._read()
                line = self._cut_line(seen)
            self._stop_timeout()
        if len(line) > self.limits.max_line:
            raise BadLine("500 5.5.2 Line too long")
        if not line.endswith(b"\r\n"):
            raise BadLine("500 5.5.2 Lines end with CR LF")
        return line[:-2]

    def _cut_line(self, seen: int) -> bytes | None:
        end = self._input.find(b"\n", seen) + 1
        if not end:
            return None
        line = bytes(self._input[:end])
        del self._input[:end]
        return line

    async def _skip_line(self) -> None:
        """Drop input up to the next LF, so that its end is not taken for a command."""
        while self._cut_line(0) is None:
            self._input.clear()
            await self.flush()
            self._input += await self._read()

    async def next_chunk(self) -> bytes:
        """Return some more of the peer's bytes, what was read ahead first. `Gone` when there are none."""
        if self._input:
            chunk = bytes(self._input)
            self._input.clear()
            return chunk
        return await self._read()

    def put_back(self, chunk: bytes) -> None:
        """Let `chunk` be read once more: it is the next command."""
        self._input[:0] = chunk

    async def _read(self) -> bytes:
        try:
            chunk = await self._reader.read(READ)
        except OSError as error:
            raise Gone(str(error)) from error
        if not chunk:
            raise Gone("end of input")
        return chunk

    def log_fault(self, event: str, error: BaseException, **facts: object) -> str:
        """Log what nobody foresaw; return the text that the peer may see, with the id to find it by."""
        fault = secrets.token_hex(4)
        log.error(event, peer=self.peer, fault=fault, error=repr(error), exc_info=error, **facts)
        return f"Try again later ({fault})"


def _peer(transport: asyncio.BaseTransport) -> tuple[str, bool]:
    """Return the peer's IP address or `unix:uid=N`, and whether it is on this machine."""
    connection = transport.get_extra_info("socket")
    if connection.family == socket.AF_UNIX:
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return f"unix:uid={uid}", True
    name = transport.get_extra_info("peername")
    if not name:  # it has left already
        return "?", False
    address = ipaddress.ip_address(name[0].partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address), address.is_loopback
