"""A fuzzer: whatever is done to a mail, a sound value comes out, always the same one, in about the usual time.

Each mail depends on the seed and its number alone. A failure prints both, and the bytes of the mail with the fewest
lines that still fails so; paste these into a regression test. CONTRIBUTING.md says how long it runs.
"""

import gc
import logging
import random
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from mails import mail

from ingestd.mail.explain import explain
from ingestd.mail.parse import parse

from . import corpus, sound
from .fuzzer import Fuzzer, made_up
from .usual import DEAREST, SURELY, SUSPECT, Usual, cost

PROCESSES = 7
_log = logging.getLogger(__name__)


def _wrong(raw: bytes) -> str | None:
    """What is wrong with how a mail is read; None when nothing is."""
    try:
        read = parse(raw)
        sound.check(read)
        for _ in explain(read):
            pass
        if parse(raw) != read:
            return "read twice, two values"
    except Exception as error:  # noqa: BLE001 - any exception is what the fuzzer looks for
        return f"{type(error).__name__}: {error}"
    return None


def _smaller(raw: bytes) -> bytes:
    """The failing mail with as few lines as still fail the same way."""
    kind = (_wrong(raw) or "").partition(":")[0]
    lines = raw.split(b"\n")
    chunk = len(lines) // 2
    tries = 2_000
    while chunk and tries:
        at = 0
        while at < len(lines) and tries:
            tries -= 1
            fewer = lines[:at] + lines[at + chunk :]
            if (_wrong(b"\n".join(fewer)) or "").partition(":")[0] == kind:
                lines = fewer
            else:
                at += chunk
        chunk //= 2
    return b"\n".join(lines)


def _typical() -> list[bytes]:
    """Made-up mails that cost about as much a byte as real ones: patches, and answers that quote them."""
    trace = (
        "from host{0}.example.org (host{0}.example.org [192.0.2.{0}])\n\tby mx{0}.example.org (Postfix) with ESMTPS id "
    )
    trace += "4frYJG6rJ4z1y{0}\n\tfor <list@example.org>; Mon, 2 Nov 2026 10:00:0{0} +0000 (UTC)"
    hops = [("Received", trace.format(hop)) for hop in range(8)]
    hops.append(("DKIM-Signature", f"v=1; a=rsa-sha256; d=example.org; s=20260101;\n\tb={'x' * 300}"))
    mails = []
    for size in (1, 2, 4, 8, 16):
        message = "Say in two or three long lines why this is done, and who wants it.\n" * 6 * size
        hunk = "".join(f" \tcontext_of_the_change(line, number, {line});\n" for line in range(20))
        changes = "".join(
            f"diff --git a/dir/file{file}.c b/dir/file{file}.c\nindex 1111111..2222222 100644\n"
            f"--- a/dir/file{file}.c\n+++ b/dir/file{file}.c\n@@ -1,21 +1,21 @@\n-\told_line();\n+\tnew_line();\n{hunk}"
            for file in range(2 * size)
        )
        whole = f"{message}\nSigned-off-by: Ann Author <ann@example.org>\n---\n f | 2 +-\n\n{changes}-- \n2.39.5\n"
        quoted = "".join(f"> {line}\n" for line in whole.split("\n"))
        mails.append(mail(f"{size}@x", f"[PATCH {size}/50] x", whole, headers=hops))
        mails.append(
            mail("a@x", "Re: [PATCH] x", f"On Monday Ann wrote:\n{quoted}\nFine.\n", reply_to="1@x", headers=hops)
        )
    return mails


def _real(count: int, seed: int) -> list[bytes]:
    """Mails of the archive, most of the patchew and qemu ones, as many as asked for; none without the corpora."""
    if not (corpus.SHARED / "corpus" / "linux-aspeed.tar.xz").exists():
        return []
    archive = [raw for _, raw in sorted(corpus.aspeed())]
    few = [path for name in ("patchew", "qemu-devel") for path in sorted((corpus.SHARED / "corpus" / name).glob("*"))]
    others = [raw for path in few if path.suffix != ".tsv" for raw in corpus.messages(path)]
    return random.Random(seed).sample(archive, count) + others


def _afresh(seed: int, numbers: list[int]) -> list[tuple[float, int]]:
    """How many times the median mails of the fuzzer take, and their numbers: the median of some new processes."""
    if not numbers:
        return []
    fresh = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as processes:
        measured = [processes.submit(_times, seed, numbers).result() for _ in range(PROCESSES)]
    return [(round(statistics.median(times), 1), number) for number, *times in zip(numbers, *measured, strict=True)]


def _times(seed: int, numbers: list[int]) -> list[float]:
    real = _real(2_000, seed)
    fuzzer = Fuzzer(seed, real)
    gc.disable()
    usual = Usual(real[:400] or _typical())
    return [usual.times(fuzzer.mail(number), SURELY) for number in numbers]


def test_made_up_mails_are_read_soundly() -> None:
    assert {raw: wrong for raw in made_up() if (wrong := _wrong(raw))} == {}


def test_the_fuzzer_makes_the_same_mails_again() -> None:
    one, two = Fuzzer(5), Fuzzer(5)
    assert [one.mail(count) for count in range(20)] == [two.mail(count) for count in range(20)]
    assert one.mail(3) == two.mail(3) != Fuzzer(6).mail(3)


@pytest.fixture(scope="module")
def real(fuzz_seed: int) -> list[bytes]:
    return _real(2_000, fuzz_seed)


@pytest.mark.long
def test_every_mail_is_read_soundly(fuzz_seed: int, fuzz_seconds: float, real: list[bytes]) -> None:
    fuzzer = Fuzzer(fuzz_seed, real)
    until = time.monotonic() + fuzz_seconds / 2
    count = 0
    while time.monotonic() < until:
        raw = fuzzer.mail(count)
        if wrong := _wrong(raw):
            pytest.fail(f"{wrong}\nINGESTD_FUZZ_SEED={fuzz_seed}, mail {count}:\n{_smaller(raw)!r}", pytrace=False)
        count += 1
    assert count


@pytest.mark.long
def test_no_mail_is_dear(fuzz_seed: int, fuzz_seconds: float, real: list[bytes]) -> None:
    """At most DEAREST times the time a byte of the median, both measured here, without Python's collector.

    A first reading only finds suspects, by the pace that the machine has about then, since anything may disturb it.
    They are timed again, the dearest ones often; and those above the limit in some processes of their own, since where
    one happens to lie in memory changes what it shows by a tenth and more.
    """
    fuzzer = Fuzzer(fuzz_seed, real)
    dear: list[tuple[float, int]] = []
    gc.collect()
    gc.disable()  # it would charge one mail for the garbage of others
    try:
        usual = Usual(real[:400] or _typical())
        until = time.monotonic() + fuzz_seconds / 2
        count = 0
        while time.monotonic() < until:
            if count % 50 == 0:
                pace = min(usual.here() for _ in range(3))
            raw = fuzzer.mail(count)
            if cost(raw) > SUSPECT * pace and (times := usual.times(raw)) > SUSPECT:
                dear.append((times, count))
            count += 1
            if count % 1_000 == 0:
                gc.collect()
        numbers = [number for _, number in sorted(dear, reverse=True)[:100]]
        left = sorted(((usual.times(fuzzer.mail(one), SURELY), one) for one in numbers), reverse=True)
    finally:
        gc.enable()
    _log.info("%d mails, median %.1f ns a byte, seed %d", count, usual.median * 1e9, fuzz_seed)
    for times, number in left[:10]:
        _log.info("mail %d: %.1f times the median", number, times)
    above = sorted(_afresh(fuzz_seed, [number for times, number in left if times > DEAREST]), reverse=True)
    _log.info("in processes of their own: %s", above)
    above = [(times, number) for times, number in above if times > DEAREST]
    assert not above, f"mails of INGESTD_FUZZ_SEED={fuzz_seed}: {above}\n{fuzzer.mail(above[0][1])!r}"
