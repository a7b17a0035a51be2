"""The bytes of mails: they arrive exactly, however they are cut, and however big they are."""

import asyncio
import hashlib
import itertools
import os
import random
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from receive.client import connect, until
from receive.conftest import Start

from ingestd.receive.dots import Unstuffer, stuff
from ingestd.receive.spool import Spool

MIB = 2**20
# Made of what matters to the end of DATA, so that hypothesis finds it.
PIECES = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"\r\n.", b"\r\n.\r\n", b"x", b"\0", b"\xff"]), max_size=30
)
MAILS = st.one_of(PIECES.map(b"".join), st.binary(max_size=200))

SMUGGLING = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r\n.\r",
    b"\r.\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\rX\r\n",
]


def _unstuff(wire: bytes, cuts: list[int]) -> tuple[bytes, bytes | None, list[bytes]]:
    """Feed `wire` in pieces; returns the mail, what came behind it, and the pieces that were not fed any more."""
    edges = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
    pieces = [wire[start:end] for start, end in itertools.pairwise(edges)]
    unstuffer, mail = Unstuffer(), b""
    while pieces and unstuffer.rest is None:
        mail += unstuffer.feed(pieces.pop(0))
    return mail, unstuffer.rest, pieces


@given(MAILS, st.lists(st.integers(0, 500)), st.binary(max_size=20))
@example(b".", [1, 2, 3], b"NOOP\r\n")
@example(b"", [1, 2], b".\r\n")
@example(b"\r\n.\r\n", [2, 3, 4, 5], b"")
def test_any_mail_arrives_exactly(mail: bytes, cuts: list[int], behind: bytes) -> None:
    got, rest, pieces = _unstuff(stuff(mail) + behind, cuts)
    assert got == mail + (b"" if not mail or mail.endswith(b"\r\n") else b"\r\n")
    assert rest is not None
    assert rest + b"".join(pieces) == behind


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b".", b"x", b"\r\n."]), max_size=20).map(b"".join),
    st.lists(st.integers(0, 60)),
)
def test_any_data_ends_where_the_rfc_says(wire: bytes, cuts: list[int]) -> None:
    """Against the plain reading of RFC 5321 4.5.2: lines end with CRLF, a dot alone ends, a leading dot goes."""
    got, rest, _ = _unstuff(wire, cuts)
    lines = wire.split(b"\r\n")
    whole, last = lines[:-1], lines[-1]
    if b"." in whole:
        end = whole.index(b".")
        assert got == b"".join(line.removeprefix(b".") + b"\r\n" for line in whole[:end])
        assert rest is not None
    else:
        assert rest is None
        text = b"".join(line.removeprefix(b".") + b"\r\n" for line in whole) + last.removeprefix(b".")
        assert text.startswith(got)
        assert len(text) - len(got) <= 4, "no more is held back than may be the beginning of an end"


@given(MAILS, st.integers(0, 100))
def test_spool_gives_back_what_it_got(mail: bytes, memory: int) -> None:
    with Spool(memory=memory, directory=None) as spool:
        for start in range(0, len(mail), 7):
            spool.write(mail[start : start + 7])
        assert spool.read() == mail
        assert spool.size == len(mail)


@pytest.mark.parametrize("form", SMUGGLING)
@pytest.mark.parametrize("greeting", ["LHLO", "EHLO"])
async def test_smuggling_forms_are_data(start: Start, greeting: str, form: bytes) -> None:
    service = await start("lmtp" if greeting == "LHLO" else "smtp")
    wire = b"Subject: x\r\n\r\ntext" + form + b"MAIL FROM:<evil@example.org>\r\n"
    async with connect(service.address) as client:
        await client.begin(greeting)
        for byte in wire + b".\r\n":
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await client.reply() == "250 2.0.0 Stored"
        assert await client.ask("NOOP") == "250 2.0.0 Ok"
    (mail,) = service.sink.mails
    unstuffed = wire.replace(b"\r\n.", b"\r\n") if b"\r\n." in form else wire
    assert mail.raw == unstuffed


async def test_random_mails_in_random_pieces(start: Start) -> None:
    service = await start("lmtp", memory=100)
    chance = random.Random(20261123)
    alphabet = [b"\r\n", b"\r\n.", b".", b"\r", b"\n", b"\0", b"\xff", b"abc" * 50]
    mails = [b"".join(chance.choices(alphabet, k=chance.randrange(20))) + b"\r\n" for _ in range(60)]
    async with connect(service.address) as client:
        assert (await client.reply()).startswith("220 ")
        assert (await client.ask("LHLO x")).startswith("250 ")
        for mail in mails:
            await client.mail()
            wire = stuff(mail)
            while wire:
                cut = chance.randrange(1, len(wire) + 1)
                client.send(wire[:cut])
                wire = wire[cut:]
                await asyncio.sleep(0)
            assert await client.reply() == "250 2.0.0 Stored"
    assert [mail.raw for mail in service.sink.mails] == mails


async def test_mail_of_25_mb(start: Start) -> None:
    """While it comes it is on disk, not in memory; then it is there once."""
    service = await start("lmtp")
    line = b"+" + b"x" * 60 + b"\r\n"
    mail = b"Subject: big\r\n\r\n" + line * (25 * 10**6 // len(line))
    digest = hashlib.sha256(mail).digest()
    half, wire = len(mail) // 2, stuff(mail)
    async with connect(service.address) as client:
        await client.begin()
        tracemalloc.start()
        try:
            for position in range(0, half, MIB):
                client.send(wire[position : min(position + MIB, half)])
                await client.writer.drain()
            peak_receiving = tracemalloc.get_traced_memory()[1]
            for position in range(half, len(wire), MIB):
                client.send(wire[position : position + MIB])
                await client.writer.drain()
            assert await client.reply() == "250 2.0.0 Stored"
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert hashlib.sha256(service.sink.mails[0].raw).digest() == digest
    assert peak_receiving < 8 * MIB  # the client's pieces are in there as well
    assert peak < 1.5 * len(mail)


async def test_big_mail_leaves_no_file(start: Start, tmp_path: Path) -> None:
    service = await start("lmtp", memory=1000, spool=str(tmp_path))
    async with connect(service.address) as client:
        await client.begin()
        client.send(b"x" * 100_000)
        await until(lambda: _open_files(tmp_path) == 1)
        assert list(tmp_path.iterdir()) == []
        client.abort()
    await until(lambda: service.connections.count == 0)
    assert _open_files(tmp_path) == 0


async def test_too_big_mail_is_not_kept_while_it_comes(start: Start, tmp_path: Path) -> None:
    service = await start("lmtp", memory=1000, max_size=10_000, spool=str(tmp_path))
    async with connect(service.address) as client:
        await client.begin()
        client.send(b"x" * 5_000)
        await until(lambda: _open_files(tmp_path) == 1)
        client.send(b"x" * 6_000)
        await until(lambda: _open_files(tmp_path) == 0)
        client.send(b"\r\n.\r\n")
        assert await client.reply() == "552 5.3.4 Mail too big"


async def test_fault_within_data_ends_the_connection(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows where the mail ends then; its rest must not be taken for commands."""

    def fail(*_: object) -> None:
        raise ValueError("a bug")

    service = await start("lmtp")
    monkeypatch.setattr(Spool, "write", fail)
    async with connect(service.address) as client:
        await client.begin()
        client.send("text\r\n")
        (reply,) = await client.rest()
    assert reply.startswith("421 4.3.0 Try again later (")


def _open_files(directory: Path) -> int:
    """How many files of ours are open in there, those without a name too."""
    targets = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            targets.append(os.readlink(descriptor))
    return sum(target.startswith(f"{directory}/") for target in targets)


async def test_spool_that_fails_is_our_fault(start: Start, tmp_path: Path) -> None:
    service = await start("lmtp", memory=1000, spool=str(tmp_path / "missing"))
    async with connect(service.address) as client:
        await client.begin(recipients=2)
        client.send(b"x" * 3000 + b"\r\n.\r\n")
        for _ in range(2):
            assert (await client.reply()).startswith("451 4.3.0 Try again later (")
        await client.mail()
        client.send(b"small\r\n.\r\n")
        assert await client.reply() == "250 2.0.0 Stored"
    assert [mail.raw for mail in service.sink.mails] == [b"small\r\n"]


async def test_line_of_a_megabyte(start: Start) -> None:
    service = await start("smtp")
    mail = b"Subject: x\r\n\r\n" + b"x" * MIB + b"\r\n"
    async with connect(service.address) as client:
        await client.begin("EHLO")
        client.send(stuff(mail))
        assert await client.reply() == "250 2.0.0 Stored"
    assert service.sink.mails[0].raw == mail
