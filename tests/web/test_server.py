"""What becomes of those who ask while the server stops."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from ingestd.web import Server

Running = tuple[Server, asyncio.Task[None]]
QUESTION = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def _app(_scope: object, _receive: object, send: Callable[[object], Awaitable[None]]) -> None:
    """The smallest application: it answers `done`."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"done"})


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    server = Server(_app)
    server.open(("127.0.0.1", 0))
    task = asyncio.create_task(server.run())
    reader, writer = await _connect(server)
    writer.write(QUESTION.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert (await reader.read()).endswith(b"done")
    writer.close()
    yield server, task
    await server.stop(task)


async def _connect(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = server.addresses[0].rpartition(":")
    return await asyncio.open_connection(host, int(port))


@pytest.mark.parametrize("written", [0, 10])
async def test_who_is_about_to_ask_when_the_server_stops_is_answered(running: Running, written: int) -> None:
    server, task = running
    reader, writer = await _connect(server)
    writer.write(QUESTION[:written])
    await asyncio.sleep(0.1)
    stopping = asyncio.create_task(server.stop(task))
    await asyncio.sleep(0.5)
    writer.write(QUESTION[written:])
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert answer.endswith(b"done")
    await stopping
    assert task.done()
    writer.close()


async def test_who_never_asks_does_not_keep_the_server(running: Running) -> None:
    server, task = running
    reader, writer = await _connect(server)
    await asyncio.sleep(0.1)
    await server.stop(task)
    assert task.done()
    assert await reader.read() == b""
    writer.close()


async def test_who_was_answered_before_does_not_keep_the_server(running: Running) -> None:
    server, task = running
    reader, writer = await _connect(server)
    writer.write(QUESTION)
    assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
    await server.stop(task)
    assert task.done()
    assert await reader.read() == b""
    writer.close()
