#!/usr/bin/env python3
"""How long a mail takes to read, beside the standard library's parser that only decodes it.

usage: ./dev bench parsing [--corpus DIR] [--every N]

DIR holds linux-aspeed.tar.xz; default: shared/corpus beside the checkout. Each N-th mail of the archive is read, five
times over, and the best round counts. CPU time of one core. The standard library is email.message_from_bytes
(compat32), eight headers and all plain text decoded: no ids, no diff, no hashes, no series facts.
"""

import argparse
import email
import email.header
import statistics
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from ingestd.mail.parse import parse  # noqa: E402 - runs from a checkout that is not installed

FIELDS = ("From", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References")
ROUNDS = 5


def main() -> None:
    """Read, time, print."""
    arguments = _arguments()
    mails = _mails(arguments.corpus / "linux-aspeed.tar.xz", arguments.every)
    size = sum(map(len, mails))
    print(f"{len(mails)} mails, {size / len(mails):.0f} bytes each")
    for name, reader in (("ingestd", parse), ("email", _standard)):
        print(f"{name:8} {_best(reader, mails) / len(mails) * 1e6:6.0f} us a mail")
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


def _best(reader: Callable[[bytes], object], mails: list[bytes]) -> float:
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for raw in mails:
            reader(raw)
        rounds.append(time.process_time() - started)
    return min(rounds)


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
            if isinstance(payload, bytes):
                payload.decode("utf-8", "replace")


if __name__ == "__main__":
    main()
