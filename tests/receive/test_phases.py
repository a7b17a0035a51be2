"""Who may interrupt what: peers that leave, timers, room, drains, limits on connections."""

import asyncio
import socket
import time

import pytest
import structlog
from receive.client import Client, connect, until
from receive.conftest import Start


async def test_commit_survives_client_that_leaves(start: Start) -> None:
    service = await start()
    service.sink.may_take.clear()
    async with connect(service.address) as client:
        await client.begin()
        client.send("Subject: x\r\n.\r\n")
        await service.sink.taking.wait()
        client.abort()
    await asyncio.sleep(0.05)
    assert service.sink.inside == 1, "room is kept until the commit is done"
    assert service.connections.count == 1
    service.sink.may_take.set()
    await until(lambda: service.connections.count == 0)
    assert [mail.raw for mail in service.sink.mails] == [b"Subject: x\r\n"]


async def test_half_closed_client_waits_for_the_commit(start: Start) -> None:
    service = await start()
    service.sink.may_take.clear()
    async with connect(service.address) as client:
        await client.begin(recipients=2)
        client.send("Subject: x\r\n.\r\n")
        client.writer.write_eof()
        await service.sink.taking.wait()
        await asyncio.sleep(0.05)
        service.sink.may_take.set()
        assert await client.rest() == ["250 2.0.0 Stored"] * 2


async def test_positive_reply_comes_after_the_commit(start: Start) -> None:
    service = await start()
    service.sink.may_take.clear()
    async with connect(service.address) as client:
        await client.begin()
        client.send("Subject: x\r\n.\r\n")
        await service.sink.taking.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(1), 0.1)
        service.sink.may_take.set()
        assert await client.reply() == "250 2.0.0 Stored"


async def test_commands_sent_during_the_commit_are_obeyed(start: Start) -> None:
    service = await start()
    service.sink.may_take.clear()
    async with connect(service.address) as client:
        await client.begin()
        client.send("Subject: x\r\n.\r\n")
        await service.sink.taking.wait()
        client.send("NOOP\r\nQUIT\r\n")
        await asyncio.sleep(0.02)
        service.sink.may_take.set()
        assert await client.rest() == ["250 2.0.0 Stored", "250 2.0.0 Ok", "221 2.0.0 Bye"]


async def test_data_waits_for_room(start: Start) -> None:
    service = await start()
    service.sink.may_enter.clear()
    async with connect(service.address) as client:
        await client.reply()
        client.send("LHLO x\r\nMAIL FROM:<> SIZE=4711\r\nRCPT TO:<a@lists.test>\r\nDATA\r\n")
        await until(lambda: service.sink.waiting == 1)
        assert (await client.reply()).startswith("250 ")
        assert [await client.reply() for _ in range(2)] == ["250 2.1.0 Ok", "250 2.1.5 Ok"]
        service.sink.may_enter.set()
        assert (await client.reply()).startswith("354 ")
        client.send(".\r\n")
        assert await client.reply() == "250 2.0.0 Stored"
    assert service.sink.sizes == [0]
    assert service.sink.mails[0].raw == b""


@pytest.mark.parametrize("half", [True, False])
async def test_client_that_leaves_gives_up_its_place(start: Start, half: bool) -> None:
    service = await start()
    service.sink.may_enter.clear()
    async with connect(service.address) as client:
        await client.reply()
        client.send("LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@lists.test>\r\nDATA\r\n")
        await until(lambda: service.sink.waiting == 1)
        if half:
            client.writer.write_eof()
        else:
            client.abort()
        await until(lambda: service.sink.waiting == 0)
        await until(lambda: service.connections.count == 0)


async def test_idle_client_times_out(start: Start) -> None:
    service = await start(idle_timeout=0.1)
    async with connect(service.address) as client:
        await client.reply()
        assert await client.rest() == ["421 4.4.2 Timed out"]


async def test_dribbled_command_times_out(start: Start) -> None:
    """A byte now and then is not a command."""
    service = await start(idle_timeout=0.2)
    async with connect(service.address) as client:
        await client.reply()
        began = time.monotonic()
        ended = asyncio.create_task(client.rest())
        while not ended.done() and time.monotonic() - began < 5:
            client.send(b"N")
            await asyncio.sleep(0.02)
        assert (await ended)[:1] == ["421 4.4.2 Timed out"]
        assert time.monotonic() - began < 1


async def test_each_command_has_its_own_time(start: Start) -> None:
    service = await start(idle_timeout=0.25)
    async with connect(service.address) as client:
        await client.reply()
        for _ in range(5):
            await asyncio.sleep(0.1)
            assert await client.ask("NOOP") == "250 2.0.0 Ok"


async def test_waiting_and_commit_have_no_time_out(start: Start) -> None:
    service = await start(idle_timeout=0.1, data_timeout=0.1)
    service.sink.may_enter.clear()
    service.sink.may_take.clear()
    async with connect(service.address) as client:
        await client.reply()
        client.send("LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@lists.test>\r\nDATA\r\n")
        await until(lambda: service.sink.waiting == 1)
        await asyncio.sleep(0.25)
        service.sink.may_enter.set()
        assert [await client.reply() for _ in range(4)][-1].startswith("354 ")
        client.send("x\r\n.\r\n")
        await service.sink.taking.wait()
        await asyncio.sleep(0.25)
        service.sink.may_take.set()
        assert await client.reply() == "250 2.0.0 Stored"


async def test_data_that_stops_times_out(start: Start) -> None:
    service = await start(data_timeout=0.1, idle_timeout=10)
    async with connect(service.address) as client:
        await client.begin()
        client.send("Subject: x\r\n")
        assert await client.rest() == ["421 4.4.2 Timed out"]
    assert service.sink.mails == []


async def test_dribbled_data_times_out_and_slow_data_does_not(start: Start) -> None:
    service = await start(data_timeout=0.3, min_rate=1000)

    async def send(client: Client, size: int) -> list[str]:
        await client.begin()
        ended = asyncio.create_task(client.rest())
        for _ in range(30):  # one second and a half
            client.send(b"x" * size)
            await asyncio.sleep(0.05)
            if ended.done():
                break
        else:
            client.send("\r\n.\r\nQUIT\r\n")
        return await ended

    async with connect(service.address) as slow, connect(service.address) as dribbling:
        answers = await asyncio.gather(send(slow, 300), send(dribbling, 1))
    assert answers[0] == ["250 2.0.0 Stored", "221 2.0.0 Bye"]
    assert answers[1][0] == "421 4.4.2 Timed out"
    assert [len(mail.raw) for mail in service.sink.mails] == [30 * 300 + 2]


async def test_client_that_does_not_read_is_cut(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replies nobody takes must not keep a connection."""
    monkeypatch.setattr("ingestd.receive.wire.LINGER", 0.1)
    service = await start("smtp", idle_timeout=0.2, max_junk=10**9, max_errors=10**9)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(service.address)
    raw.setblocking(False)
    with raw:
        with pytest.raises((TimeoutError, ConnectionError)):
            await asyncio.wait_for(_send_forever(raw, b"HELP\r\n" * 1000), 1)
        await until(lambda: service.connections.count == 0)


async def _send_forever(connection: socket.socket, data: bytes) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(connection, data)


async def test_connections_are_limited_and_come_back(start: Start) -> None:
    service = await start(connections=2)
    async with connect(service.address) as one, connect(service.address) as two:
        assert (await one.reply()).startswith("220 ")
        assert (await two.reply()).startswith("220 ")
        async with connect(service.address) as three:
            assert await three.rest() == ["421 4.3.2 Too many connections"]
        assert await two.ask("QUIT") == "221 2.0.0 Bye"
        await until(lambda: service.connections.count == 1)
        async with connect(service.address) as four:
            assert (await four.reply()).startswith("220 ")


async def test_drain_dismisses_the_idle(start: Start) -> None:
    service = await start()
    service.sink.may_enter.clear()
    async with connect(service.address) as idle, connect(service.address) as waiting:
        await idle.reply()
        await waiting.reply()
        waiting.send("LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@lists.test>\r\nDATA\r\n")
        await until(lambda: service.sink.waiting == 1)
        assert await service.drain(5) == 0
        assert await idle.rest() == ["421 4.3.2 Shutting down"]
        assert (await waiting.rest())[-3:] == ["250 2.1.0 Ok", "250 2.1.5 Ok", "421 4.3.2 Shutting down"]
    with pytest.raises(ConnectionError):
        async with connect(service.address):
            pass


async def test_drain_lets_mail_finish(start: Start) -> None:
    service = await start()
    service.sink.may_take.clear()
    async with connect(service.address) as sending, connect(service.address) as committing:
        await sending.begin()
        await committing.begin(recipients=2)
        committing.send("Subject: x\r\n.\r\nMAIL FROM:<>\r\n")
        await service.sink.taking.wait()
        draining = asyncio.create_task(service.drain(5))
        await asyncio.sleep(0.05)
        assert not draining.done()
        sending.send("Subject: y\r\n.\r\n")
        service.sink.may_take.set()
        assert await sending.rest() == ["250 2.0.0 Stored", "421 4.3.2 Shutting down"]
        assert await committing.rest() == ["250 2.0.0 Stored"] * 2 + ["421 4.3.2 Shutting down"]
        assert await draining == 0
    assert len(service.sink.mails) == 2


async def test_drain_cuts_what_does_not_finish(start: Start) -> None:
    service = await start()
    service.sink.may_take.clear()
    async with connect(service.address) as sending, connect(service.address) as committing:
        await sending.begin()
        await committing.begin()
        committing.send("Subject: x\r\n.\r\n")
        await service.sink.taking.wait()
        assert await service.drain(0.1) == 2
        for client in (sending, committing):
            assert await client.rest() in ([], ["reset"]), "no reply: the peer keeps its mail"
    assert service.listener.sessions == 0
    assert service.sink.mails == []
    assert await service.drain(0) == 0


async def test_drain_of_a_connection_just_accepted(start: Start) -> None:
    service = await start()
    raw = [socket.create_connection(service.address) for _ in range(5)]
    assert await service.drain(0) == 0
    for connection in raw:
        connection.close()


async def test_fault_is_logged_and_not_told(start: Start) -> None:
    service = await start(failing="fault")
    with structlog.testing.capture_logs() as logged:
        async with connect(service.address) as client:
            await client.begin()
            reply = await client.ask("text\r\n.")
    assert reply.startswith("451 4.3.0 Try again later (")
    (entry,) = (entry for entry in logged if entry["event"] == "mail_failed")
    assert reply == f"451 4.3.0 Try again later ({entry['fault']})"
    assert "10.0.0.5" in entry["error"]
    assert (entry["peer"], entry["recipients"]) == ("127.0.0.1", 1)
