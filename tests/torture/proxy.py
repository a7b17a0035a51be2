"""A TCP proxy between the mail server and the daemon: it sees where each dialog stands, and can cut it there."""

import asyncio
import contextlib
import random
from dataclasses import dataclass

PIECE = 4096  # octets forwarded at once, so that a mail is under way for a moment
END = b"\r\n.\r\n"


@dataclass(eq=False)
class Dialog:
    """One connection: the mail server's side and the daemon's."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    in_data: bool = False  # after the 354, before the final dot
    dotted: bool = False  # the final dot has passed, the reply has not
    cut: bool = False

    def end(self) -> None:
        """Reset both connections."""
        self.cut = True
        for side in (self.client, self.server):
            if side is not None:
                side.transport.abort()


class Proxy:
    """Listens on a port of its own and forwards to `target`."""

    def __init__(self, target: tuple[str, int], rng: random.Random) -> None:
        """`rng` decides how long a piece of a mail takes."""
        self.dialogs: set[Dialog] = set()
        self.port = 0
        self._target = target
        self._rng = rng
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**16)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End all."""
        if self._server is not None:
            self._server.close()
        for dialog in list(self.dialogs):
            dialog.end()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def in_data(self) -> list[Dialog]:
        """The dialogs with a mail that has begun and not ended."""
        return [dialog for dialog in self.dialogs if dialog.in_data]

    def dotted(self) -> list[Dialog]:
        """The dialogs with a whole mail that has no reply yet."""
        return [dialog for dialog in self.dialogs if dialog.dotted]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        dialog = Dialog(writer)
        self.dialogs.add(dialog)
        try:
            with contextlib.suppress(OSError):  # either side goes whenever it likes: that is what we are for
                answers, dialog.server = await asyncio.open_connection(*self._target)
                await asyncio.gather(self._up(reader, dialog), self._down(answers, dialog))
        finally:
            self.dialogs.discard(dialog)
            for side in (writer, dialog.server):
                if side is not None:
                    side.close()

    async def _up(self, reader: asyncio.StreamReader, dialog: Dialog) -> None:
        """From the mail server to the daemon."""
        server, tail = dialog.server, b""
        assert server is not None
        while piece := await reader.read(PIECE):
            if dialog.in_data:
                await asyncio.sleep(self._rng.random() * 0.004)
                if dialog.cut:
                    return
                tail = tail[-len(END) :] + piece
                if END in tail:
                    dialog.in_data, dialog.dotted, tail = False, True, b""
            server.write(piece)
            await server.drain()
        if server.can_write_eof():
            server.write_eof()

    async def _down(self, answers: asyncio.StreamReader, dialog: Dialog) -> None:
        """From the daemon to the mail server."""
        while line := await answers.readline():
            if line.startswith(b"354"):
                dialog.in_data = True
            elif dialog.dotted:
                dialog.dotted = False
            dialog.client.write(line)
            await dialog.client.drain()
        dialog.client.close()
