"""Random dialogs over a real socket: no crash, no connection left over, no 5xx for a fault of ours, no half mail."""

import asyncio
import random
import re
from contextlib import suppress

import structlog
from receive.client import connect, until
from receive.conftest import Start

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


async def test_random_dialogs(start: Start) -> None:
    service = await start(max_size=2000, max_line=1000, memory=100, idle_timeout=5, data_timeout=5)
    chance = random.Random(SEED)
    with structlog.testing.capture_logs() as logged:
        for number in range(DIALOGS):
            wire = _dialog(chance)
            whole, stored = _count_ends(wire), len(service.sink.mails)
            async with connect(service.address) as client:
                for piece in _cut(wire, chance):
                    client.send(piece)
                    await asyncio.sleep(0)
                ending = chance.randrange(4)
                if ending == 0:
                    client.abort()
                else:
                    with suppress(OSError):  # the server has reset the connection
                        client.writer.write_eof()
                    replies = await client.rest()
                    for line in replies:
                        assert REPLY.match(line) or line == "reset", (number, line)
                    taken = len(service.sink.mails) - stored
                    assert sum(line == "250 2.0.0 Stored" for line in replies) >= taken or replies[-1] == "reset", (
                        number
                    )
            await until(lambda: service.connections.count == 0)
            assert len(service.sink.mails) - stored <= whole, number
    assert not [entry for entry in logged if entry["log_level"] == "error"]
    assert service.sink.mails, "some of them were good"


def _count_ends(wire: bytes) -> int:
    """How many mails the RFC allows `wire` to hold at most: each needs an end of its own."""
    return len(re.findall(rb"(?=\r\n\.\r\n)", wire))


def _cut(wire: bytes, chance: random.Random) -> list[bytes]:
    edges = sorted(chance.randrange(len(wire) + 1) for _ in range(chance.randrange(8)))
    return [wire[start:end] for start, end in zip([0, *edges], [*edges, len(wire)], strict=True)]
