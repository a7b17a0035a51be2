#!/usr/bin/env python3
"""What an import does to live mail: how long LMTP deliveries take while one runs at full speed, and without.

usage: ./dev bench beside [--seconds N] [--mails N] [--rate N] [--corpus DIR]

A daemon on an embedded PostgreSQL with durable commits gets MAILS mails a second (default 20) over LMTP at fixed times,
for N seconds; a delivery's time is from when it was due to its 250. First alone, then while `ingestd import` stores the
archive (DIR/linux-aspeed.tar.xz, else made-up mails), at RATE where one is given. Again alone at the end.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "tests")]

from daemon_process import DaemonProcess  # noqa: E402 - runs from a checkout that is not installed
from end_to_end.peer import Peer  # noqa: E402
from mail.corpus import unpack  # noqa: E402
from mails import patch, series  # noqa: E402
from scratch import open_directory  # noqa: E402
from sources import made  # noqa: E402

CONNECTIONS = 10
ARCHIVE = 40_000  # mails that are made up


def main() -> None:
    """Deliver, import, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--mails", type=float, default=20.0)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--corpus", type=Path, default=CHECKOUT.parent / "shared/corpus")
    arguments = parser.parse_args()
    archive = arguments.corpus / "linux-aspeed.tar.xz"
    with tempfile.TemporaryDirectory(prefix="ingestd-bench-") as place, open_directory() as data:
        if archive.exists():
            mails = [file.read_bytes() for file in sorted(unpack(archive).iterdir())]
        else:
            topics = (series(f"20261102.{topic}", 4, title=f"A topic of {topic}") for topic in range(ARCHIVE // 5))
            mails = list(islice((mail for topic in topics for mail in topic), ARCHIVE))
        inbox = made.inbox(Path(place) / "inbox", [[("m", mail) for mail in mails]])
        mails.clear()
        daemon = DaemonProcess(Path(place), data_directory=data)
        daemon.start()
        try:
            for name in ("alone", "beside an import", "alone again"):
                _phase(name, daemon, arguments, inbox)
        finally:
            daemon.terminate()


def _phase(name: str, daemon: DaemonProcess, arguments: argparse.Namespace, inbox: Path) -> None:
    importing = None
    if name == "beside an import":
        rate = [] if arguments.rate is None else ["--rate", str(arguments.rate)]
        command = [*daemon.command, "import", "--no-resume", *rate, str(inbox)]
        importing = subprocess.Popen(command, env=daemon.environment, stderr=subprocess.PIPE)
        _wait_for(importing, b"import_progress")
    times = _deliver(name, daemon, arguments.mails, arguments.seconds)
    told = ""
    if importing is not None:
        if importing.poll() is not None:
            sys.exit("the import ended too soon: --seconds is too long for this archive")
        told = f"; import: {_rate(importing):.0f} mails/s"
    cuts = statistics.quantiles(times, n=100)
    print(
        f"{name + ':':18} median {1000 * cuts[49]:.0f} ms, p90 {1000 * cuts[89]:.0f} ms, p99 {1000 * cuts[98]:.0f} ms, "
        f"longest {1000 * max(times):.0f} ms, of {len(times)} deliveries{told}",
        flush=True,
    )


def _deliver(run: str, daemon: DaemonProcess, rate: float, seconds: float) -> list[float]:
    """Seconds from when each delivery was due to its 250."""
    own = threading.local()
    peers: list[Peer] = []
    began = time.perf_counter() + 0.5

    def deliver(number: int) -> float:
        if not hasattr(own, "peer"):
            own.peer = Peer(daemon.lmtp)
            peers.append(own.peer)
        due = began + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        id_ = f"{run.replace(' ', '-')}-{number}@example.org"
        (reply,) = own.peer.send(patch(id_, f"[PATCH] {run}: live mail {number}", file=f"{number}.c"))
        if not reply.startswith("250"):
            sys.exit(f"not taken: {reply}")
        return time.perf_counter() - due

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        times = list(pool.map(deliver, range(round(rate * seconds))))
    for peer in peers:
        peer.close()
    return times


def _wait_for(process: "subprocess.Popen[bytes]", event: bytes) -> None:
    """Read the log of the import up to an event."""
    for line in process.stderr or ():
        if event in line:
            return
    sys.exit("the import ended at once")


def _rate(process: "subprocess.Popen[bytes]") -> float:
    """End the import; mails a second, as it said last."""
    process.kill()
    said = process.communicate()[1].splitlines()
    rates = [float(line.partition(b'"rate": ')[2].partition(b",")[0]) for line in said if b"import_progress" in line]
    return rates[-1] if rates else 0.0


if __name__ == "__main__":
    main()
