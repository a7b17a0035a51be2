"""A blunt asyncio client for tests that a written dialog cannot express."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

PATIENCE = 10.0


class Client:
    """Sends bytes, reads reply lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def line(self) -> str:
        """The next line without CRLF; "" at the end."""
        line = await asyncio.wait_for(self.reader.readline(), PATIENCE)
        assert not line or line.endswith(b"\r\n")
        return line.decode("utf-8").removesuffix("\r\n")

    async def reply(self) -> str:
        """The last line of the next reply."""
        line = await self.line()
        while line[3:4] == "-":
            line = await self.line()
        return line

    async def rest(self) -> list[str]:
        """All lines until the server closes. Also when it resets, having data from us unread."""
        lines = []
        try:
            while line := await self.line():
                lines.append(line)
        except ConnectionError:
            lines.append("reset")
        return lines

    def send(self, data: bytes | str) -> None:
        self.writer.write(data if isinstance(data, bytes) else data.encode("utf-8"))

    async def ask(self, command: str) -> str:
        self.send(command + "\r\n")
        return await self.reply()

    async def begin(self, greeting: str = "LHLO", *, recipients: int = 1) -> None:
        """Get as far as the 354."""
        assert (await self.reply()).startswith("220 ")
        assert (await self.ask(f"{greeting} client.test")).startswith("250 ")
        await self.mail(recipients=recipients)

    async def mail(self, *, recipients: int = 1) -> None:
        """Get from the greeting to the 354."""
        assert (await self.ask("MAIL FROM:<ann@example.org>")).startswith("250 ")
        for number in range(recipients):
            assert (await self.ask(f"RCPT TO:<list{number}@lists.test>")).startswith("250 ")
        assert (await self.ask("DATA")).startswith("354 ")

    def abort(self) -> None:
        """Leave with a reset."""
        self.writer.transport.abort()


@asynccontextmanager
async def connect(address: tuple[str, int] | str) -> AsyncIterator[Client]:
    """Connect, and close at the end."""
    if isinstance(address, tuple):
        reader, writer = await asyncio.open_connection(*address)
    else:
        reader, writer = await asyncio.open_unix_connection(address)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the server does without telling."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.005)
