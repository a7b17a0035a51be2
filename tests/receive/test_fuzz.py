"""Random dialogs over a real socket: no crash, no connection left over, no 5xx for a fault of ours, no half mail."""

import asyncio
import gc
import logging
import random
import re
import resource
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
from receive.client import connect, until
from receive.conftest import Service, Start

from ingestd.receive.dots import stuff

SEED = 20261123
DIALOGS = 300
# Every reply line that we may say.
REPLY = re.compile(r"([245]\d\d[ -]|354 )[\x20-\x7e]+\Z")
GOOD = [
    b"LHLO client.test\r\n",
    b"MAIL FROM:<ann@example.org> SIZE=50\r\n",
    b"RCPT TO:<one@lists.test>\r\n",
    b"DATA\r\n",
    b"Subject: whole\r\n\r\ntext\r\n.\r\n",
]
# What others have taken for the end of a mail, so that what follows was a mail of its own (RFC 5321 section 4.1.1.4).
SMUGGLING = [
    before + b"." + after
    for before in (b"\r\n", b"\n", b"\r", b"\r\r\n", b"\r\n\0", b"\n\r")
    for after in (b"\r\n", b"\n", b"\r", b"\r\r\n", b"\0\r\n", b"\n\r")
]
ODD = [
    *(b"\r\n.\r\n", b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r", b"\n", b".", b"\0", b"\xff", b" ", b"\r\n"),
    *(
        b"NOOP\r\n",
        b"RSET\r\n",
        b"QUIT\r\n",
        b"HELP\r\n",
        b"VRFY x\r\n",
        b"EHLO x\r\n",
        b"BDAT 5 LAST\r\n",
        b"STARTTLS\r\n",
    ),
    *(b"MAIL FROM:<>\r\n", b"RCPT TO:<nobody@elsewhere.test>\r\n", b"MAIL FROM:<\xc3\xbc@x> SMTPUTF8\r\n", b"x" * 5000),
]


def _dialog(chance: random.Random) -> bytes:
    """A good dialog of a few mails, with some of its parts lost, moved, repeated, cut, or made odd."""
    parts = GOOD[:1] + GOOD[1:] * chance.randrange(1, 4)
    if chance.randrange(2):
        parts[0] = b"EHLO client.test\r\n"
    if chance.randrange(4) == 0:
        parts[-1] = b"Subject: smuggled\r\n" + chance.choice(SMUGGLING) + b"".join(GOOD[1:])
    for _ in range(chance.randrange(6)):
        place = chance.randrange(len(parts))
        match chance.randrange(6):
            case 0:
                del parts[place]
            case 1:
                parts.insert(place, chance.choice(ODD))
            case 2:
                parts.insert(place, chance.choice(parts))
            case 3:
                cut = chance.randrange(len(parts[place]) + 1)
                parts[place] = parts[place][:cut] + chance.choice(ODD) + parts[place][cut:]
            case 4:
                parts[place] = parts[place][: chance.randrange(len(parts[place]) + 1)]
            case _:
                parts.insert(place, chance.randbytes(chance.randrange(40)))
        parts = parts or GOOD[:1]
    return b"".join(parts)


async def _talk(service: Service, wire: bytes, chance: random.Random) -> list[str]:
    """Send `wire` in pieces and end one way or another; the replies."""
    async with connect(service.address) as client:
        for piece in _cut(wire, chance):
            client.send(piece)
            await asyncio.sleep(0)
        if chance.randrange(4) == 0:
            client.abort()
            return []
        with suppress(OSError):  # the server has reset the connection
            client.writer.write_eof()
        return await client.rest()


def _check(wire: bytes, replies: list[str], taken: list[bytes], number: int) -> None:
    """What must hold of any dialog, whatever was sent."""
    for line in replies:
        assert REPLY.match(line) or line == "reset", (number, line)
    assert len(taken) <= _count_ends(wire), (number, wire)
    for raw in taken:
        assert _undotted(stuff(raw)) in _undotted(wire), (number, "stored, but not sent like this", raw)
    if replies and replies[-1] != "reset":
        assert sum(line == "250 2.0.0 Stored" for line in replies) >= len(taken), number


async def _fuzz(service: Service, chance: random.Random, dialogs: int) -> None:
    for number in range(dialogs):
        wire = _dialog(chance)
        before = len(service.sink.mails)
        replies = await _talk(service, wire, chance)
        await until(lambda: service.connections.count == 0)
        _check(wire, replies, [mail.raw for mail in service.sink.mails[before:]], number)
        if len(service.sink.mails) > 1000:
            service.sink.mails.clear()


LIMITS = {"max_size": 2000, "max_line": 1000, "memory": 100, "idle_timeout": 5, "data_timeout": 5}


@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
async def test_random_dialogs(start: Start, protocol: str) -> None:
    service = await start(protocol, **LIMITS)
    with structlog.testing.capture_logs() as logged:
        await _fuzz(service, random.Random(SEED), DIALOGS)
    assert not [entry for entry in logged if entry["log_level"] == "error"]
    assert service.sink.mails, "some of them were good"


@pytest.mark.parametrize(
    "failing", ["fault", "temporary", "room exit", "cancelled", "connection error", "broken reply"]
)
async def test_random_dialogs_with_a_fault_of_ours(start: Start, failing: str) -> None:
    """No 5xx for it: whatever a whole and good dialog hears is 2xx, 3xx or 451."""
    service = await start(failing=failing, **LIMITS)
    chance = random.Random(SEED)
    with structlog.testing.capture_logs():
        for number in range(DIALOGS // 4):
            replies = await _talk(service, b"".join(GOOD), chance)
            assert not [line for line in replies if line.startswith("5")], (number, replies)
            await _fuzz(service, chance, 1)


@pytest.mark.long
@pytest.mark.parametrize(("protocol", "seed"), [("lmtp", 1), ("smtp", 2)])
async def test_fifty_thousand_random_dialogs(start: Start, protocol: str, seed: int) -> None:
    """A hundred thousand in all; nothing of them stays."""
    service = await start(protocol, **LIMITS)
    chance = random.Random(seed)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        await _fuzz(service, chance, 5000)
        gc.collect()
        memory, descriptors, tasks = _resident(), len(list(Path("/proc/self/fd").iterdir())), len(asyncio.all_tasks())
        await _fuzz(service, chance, 45_000)
        gc.collect()
        assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
        assert len(asyncio.all_tasks()) == tasks
        assert _resident() - memory < 8 * 2**20, "it grows"
    finally:
        structlog.reset_defaults()


def _resident() -> int:
    """Octets of memory that this process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def _undotted(wire: bytes) -> bytes:
    """Without the dots at line starts: a peer may have left some out that it should have doubled."""
    return re.sub(rb"(\A|\r\n)\.", rb"\1", wire)


def _count_ends(wire: bytes) -> int:
    """How many mails the RFC allows `wire` to hold at most: each needs an end of its own."""
    return len(re.findall(rb"(?=\r\n\.\r\n)", wire))


def _cut(wire: bytes, chance: random.Random) -> list[bytes]:
    edges = sorted(chance.randrange(len(wire) + 1) for _ in range(chance.randrange(8)))
    return [wire[start:end] for start, end in zip([0, *edges], [*edges, len(wire)], strict=True)]
