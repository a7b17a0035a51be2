#!/usr/bin/env python3
"""How long a mail takes to read, beside the standard library's parser that only decodes it.

usage: ./dev bench parsing [--corpus DIR] [--every N]

DIR holds linux-aspeed.tar.xz; default: shared/corpus beside the checkout. Each N-th mail of the archive is read, ten
times over, by both in turn, twenty mails at a time, and the best time of each twenty counts. CPU time of one core. The
standard library is email.message_from_bytes (compat32), eight headers and all plain text decoded, each text by its own
charset: no ids, no diff, no hashes, no series facts.
"""

import argparse
import email
import email.header
import statistics
import sys
import tarfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from ingestd.mail.parse import parse  # noqa: E402 - runs from a checkout that is not installed

FIELDS = ("From", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References")
ROUNDS = 10
FEW = 20  # mails that one reader reads before the other has its turn


def main() -> None:
    """Read, time, print."""
    arguments = _arguments()
    mails = _mails(arguments.corpus / "linux-aspeed.tar.xz", arguments.every)
    size = sum(map(len, mails))
    print(f"{len(mails)} mails, {size / len(mails):.0f} bytes each")
    kinds = [parse(raw).kind for raw in mails]
    for kind, count in Counter(kinds).most_common(3):
        _show(kind, [raw for raw, other in zip(mails, kinds, strict=True) if other == kind], f"{count} mails")
    _show("all", mails, f"{len(mails)} mails")
    costs = sorted(_each(mails))
    print(
        f"ingestd  {statistics.median(costs):6.1f} ns a byte in the median, {costs[len(costs) * 99 // 100]:.1f} at 99 %"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=HERE.parent.parent / "shared" / "corpus")
    parser.add_argument("--every", type=int, default=10, metavar="N")
    return parser.parse_args()


def _mails(path: Path, every: int) -> list[bytes]:
    with tarfile.open(path, "r|xz") as archive:
        found = []
        for count, member in enumerate(archive):
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None and count % every == 0:
                found.append(content.read())
    return found


def _show(kind: str, mails: list[bytes], count: str) -> None:
    """Both readers in short turns, so that a machine that slows down slows both."""
    total = [0.0, 0.0]
    for at in range(0, len(mails), FEW):
        best = [float("inf"), float("inf")]
        for _ in range(ROUNDS):
            for place, reader in enumerate((parse, _standard)):
                started = time.process_time()
                for raw in mails[at : at + FEW]:
                    reader(raw)
                best[place] = min(best[place], time.process_time() - started)
        total = [sum(pair) for pair in zip(total, best, strict=True)]
    ours, theirs = (seconds / len(mails) * 1e6 for seconds in total)
    print(f"{kind:6} {count:>12}: ingestd {ours:4.0f} us a mail, email {theirs:4.0f} us, ratio {ours / theirs:.2f}")


def _each(mails: list[bytes]) -> list[float]:
    """Nanoseconds a byte of each mail."""
    costs = []
    for raw in mails:
        started = time.perf_counter()
        parse(raw)
        costs.append((time.perf_counter() - started) / len(raw) * 1e9)
    return costs


def _standard(raw: bytes) -> None:
    message = email.message_from_bytes(raw)
    for name in FIELDS:
        value = message[name]
        if value:
            try:
                str(email.header.make_header(email.header.decode_header(str(value))))
            except (LookupError, UnicodeError):
                continue
    for part in message.walk():
        if part.get_content_type() == "text/plain":
            payload = part.get_payload(decode=True)
            if not isinstance(payload, bytes):
                continue
            try:
                payload.decode(part.get_content_charset("utf-8"), "replace")
            except LookupError:
                payload.decode("utf-8", "replace")


if __name__ == "__main__":
    main()
