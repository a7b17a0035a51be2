"""Addresses: where it listens, what it finds there, what it says when it cannot."""

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from receive.client import connect
from receive.conftest import Start
from receive.memory import MemorySink

from ingestd import errors
from ingestd.receive.limits import Connections, Limits
from ingestd.receive.listener import Listener


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a short path: unix sockets have 108 bytes."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _listener() -> Listener:
    return Listener(MemorySink(), protocol="lmtp", hostname="mx.test", limits=Limits(), connections=Connections(10))


async def _answers(address: tuple[str, int] | str) -> bool:
    async with connect(address) as client:
        return (await client.reply()) == "220 mx.test LMTP ingestd"


async def test_unix_socket(directory: Path) -> None:
    path = directory / "lmtp.sock"
    listener = _listener()
    await listener.start_unix(path, 0o620)
    assert listener.addresses == (str(path),)
    assert stat.S_IMODE(path.stat().st_mode) == 0o620
    assert await _answers(str(path))
    await listener.drain(1)
    assert not path.exists()


async def test_stale_unix_socket_is_replaced(directory: Path) -> None:
    path = directory / "lmtp.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    listener = _listener()
    await listener.start_unix(path)
    assert await _answers(str(path))
    await listener.drain(1)


async def test_live_unix_socket_is_left_alone(directory: Path) -> None:
    path = directory / "lmtp.sock"
    first, second = _listener(), _listener()
    await first.start_unix(path)
    with pytest.raises(errors.UnavailableError) as raised:
        await second.start_unix(path)
    assert str(raised.value) == f"cannot listen on {path} (LMTP): Address already in use"
    await second.drain(1)
    assert await _answers(str(path))
    await first.drain(1)


async def test_file_in_the_place_of_a_socket_is_left_alone(directory: Path) -> None:
    path = directory / "lmtp.sock"
    path.write_text("precious")
    with pytest.raises(errors.UnavailableError) as raised:
        await _listener().start_unix(path)
    assert str(raised.value) == f"cannot listen on {path} (LMTP): a file that is no socket is in its place"
    assert path.read_text() == "precious"


async def test_socket_of_a_successor_is_left_alone(directory: Path) -> None:
    path = directory / "lmtp.sock"
    first, second = _listener(), _listener()
    await first.start_unix(path)
    path.unlink()
    await second.start_unix(path)
    await first.drain(1)
    assert await _answers(str(path))
    await second.drain(1)


@pytest.mark.parametrize("name", ["missing/lmtp.sock", "x" * 120])
async def test_impossible_path_is_one_line(directory: Path, name: str) -> None:
    with pytest.raises(errors.UnavailableError) as raised:
        await _listener().start_unix(directory / name)
    assert str(raised.value).startswith(f"cannot listen on {directory / name} (LMTP): ")
    assert "\n" not in str(raised.value)


async def test_taken_port_is_one_line(start: Start) -> None:
    service = await start()
    host, port = service.address
    with pytest.raises(errors.UnavailableError) as raised:
        await _listener().start_tcp(host, port)
    assert str(raised.value) == f"cannot listen on {host}:{port} (LMTP): Address already in use"


async def test_impossible_host_is_one_line() -> None:
    # Python 3.13 has its own words for it.
    cause = "(Cannot assign requested address|could not bind on any address .*)"
    with pytest.raises(errors.UnavailableError, match=rf"^cannot listen on 192\.0\.2\.1:1 \(LMTP\): {cause}$"):
        await _listener().start_tcp("192.0.2.1", 1)
    with pytest.raises(errors.UnavailableError, match=r"cannot listen on no\.\.host:1 \(LMTP\): "):
        await _listener().start_tcp("no..host", 1)


async def test_socket_of_systemd(directory: Path) -> None:
    path = directory / "lmtp.sock"
    tcp, unix = socket.socket(), socket.socket(socket.AF_UNIX)
    tcp.bind(("127.0.0.1", 0))
    unix.bind(str(path))
    port = tcp.getsockname()[1]
    listener = _listener()
    await listener.start_socket(tcp)
    await listener.start_socket(unix)
    assert listener.addresses == (f"127.0.0.1:{port}", str(path))
    assert await _answers(("127.0.0.1", port))
    assert await _answers(str(path))
    await listener.drain(1)
    assert path.exists(), "it is systemd's"


async def test_ipv6() -> None:
    listener = _listener()
    try:
        await listener.start_tcp("::1", 0)
    except errors.UnavailableError as error:
        pytest.skip(str(error))
    (address,) = listener.addresses
    assert address.startswith("[::1]:")
    assert await _answers(("::1", int(address.removeprefix("[::1]:"))))
    await listener.drain(1)


async def test_peer_and_locality(directory: Path) -> None:
    path = directory / "lmtp.sock"
    sink = MemorySink()
    listener = Listener(sink, protocol="lmtp", hostname="mx.test", limits=Limits(), connections=Connections(10))
    await listener.start_unix(path)
    await listener.start_tcp("127.0.0.1", 0)
    for address in (str(path), ("127.0.0.1", int(listener.addresses[1].rpartition(":")[2]))):
        async with connect(address) as client:
            await client.begin()
            assert await client.ask("x\r\n.") == "250 2.0.0 Stored"
    assert [mail.peer for mail in sink.mails] == [f"unix:uid={os.getuid()}", "127.0.0.1"]
    await listener.drain(1)


async def test_who_is_not_here_may_not_choose_a_list() -> None:
    """XLIST is for loopback and unix sockets; another address of this machine stands for the world."""
    own = _own_address()
    listener = _listener()
    await listener.start_tcp(own, 0)
    async with connect((own, int(listener.addresses[0].rpartition(":")[2]))) as client:
        await client.reply()
        client.send("LHLO x\r\n")
        announced = [await client.line() for _ in range(6)]
        assert announced[-1] == "250 ENHANCEDSTATUSCODES"
        assert (await client.ask("MAIL FROM:<> XLIST=demo.lists.test")).startswith("555 5.5.4 ")
    await listener.drain(1)


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; asks the routing table
        except OSError as error:
            pytest.skip(f"no address but loopback: {error}")
        address = str(probe.getsockname()[0])
    if address.startswith("127."):
        pytest.skip("no address but loopback")
    return address


async def test_limits_are_each_listeners_own(start: Start) -> None:
    """In aiosmtpd they are in the class, so that a second connection takes them from the first."""
    small, big = await start(max_size=1000, max_line=600), await start(max_size=2000, max_line=3000)
    async with connect(small.address) as one, connect(big.address) as two:
        for client, size in ((one, 1000), (two, 2000)):
            await client.reply()
            client.send("LHLO x\r\n")
            assert f"250-SIZE {size}" in [await client.line() for _ in range(7)]
        assert (await one.ask("NOOP " + "x" * 1000)) == "500 5.5.2 Line too long"
        assert (await two.ask("NOOP " + "x" * 1000)) == "250 2.0.0 Ok"


async def test_limits_can_be_replaced(start: Start) -> None:
    service = await start(max_size=1000)
    async with connect(service.address) as old:
        await old.reply()
        service.listener.limits = Limits(max_size=5)
        assert (await old.ask("LHLO x")).startswith("250 ")
        assert await old.ask("MAIL FROM:<> SIZE=1000") == "250 2.1.0 Ok"
        async with connect(service.address) as new:
            await new.reply()
            assert (await new.ask("LHLO x")).startswith("250 ")
            assert await new.ask("MAIL FROM:<> SIZE=6") == "552 5.3.4 Mail too big"


async def test_session_that_cannot_begin_is_refused(start: Start) -> None:
    service = await start()
    service.listener.limits = Limits(max_size=cast("int", "much"))
    async with connect(service.address) as client:
        assert await client.rest() == ["421 4.3.0 Try again later"]
    assert service.connections.count == 0
