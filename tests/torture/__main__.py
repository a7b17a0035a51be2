"""Mail servers deliver while everything behind them fails; at the end every mail is there, once.

usage: ./dev torture [--server postfix|exim] [--mails N] [--faults N] [--seed N] [--if-possible]

Default: Postfix, 5,000 mails, 200 faults. Needs root, Postfix or Exim, and for full disks the right to mount.
The mails are those of the corpus beside the checkout where it is, else made up.
The seed decides the mails, and the kinds of the faults and their order; when they strike depends on the machine too.

Of each kind of fault is counted: how many; how many struck while a transaction of the daemon was open, a mail was
within its DATA, a whole mail waited for its reply; either: the first or the second; hurt: after which the daemon said
that a batch failed (full disk, standstill), or that had a connection to cut.
"""

import argparse
import asyncio
import json
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import asyncpg  # noqa: E402 - runs from a checkout that is not installed
from daemon_process import DaemonProcess  # noqa: E402
from mail_servers import exim, postfix  # noqa: E402
from scratch import open_directory  # noqa: E402

from torture import mails as sources  # noqa: E402
from torture.faults import KINDS, Tallies  # noqa: E402
from torture.site import Site  # noqa: E402

END = 600.0  # seconds for the queue to run empty at the end


def main() -> int:
    """Torture as the arguments say; 0 when all promises held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=["postfix", "exim"], default="postfix")
    parser.add_argument("--mails", type=int, default=5000)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--if-possible", action="store_true", help="exit 0 where the server cannot be run")
    arguments = parser.parse_args()
    why = {"postfix": postfix, "exim": exim}[arguments.server].missing()
    if why:
        print(f"torture: {why}", file=sys.stderr)
        return 0 if arguments.if_possible else 69
    with open_directory() as directory:
        directory.chmod(0o755)
        figures = asyncio.run(_torture(directory, arguments))
        broken = [name for name, held in figures["promises"].items() if not held]
        if broken:
            kept = Path(f"/tmp/torture-{arguments.seed}")  # noqa: S108 - for a person to look at
            kept.mkdir(exist_ok=True)
            for name in ("daemon/log", "daemon/wanted.dump", "daemon/found.dump"):
                shutil.copy(directory / name, kept)
    print(json.dumps(figures, indent=2))
    for name in broken:
        print(f"torture: broken: {name}; the daemon's log and the dumps are in {kept}", file=sys.stderr)
    return 1 if broken else 0


async def _torture(directory: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()
    rng = random.Random(arguments.seed)
    origin, mails = sources.read(arguments.mails, rng)
    site = Site(directory, arguments.server, rng)
    try:
        await site.start()
        tallies = await _strike(site, mails, arguments.faults)
        assert site.server is not None
        await asyncio.to_thread(site.server.wait_empty, END)
        figures = {
            "server": arguments.server,
            "mails": f"{len(mails)} of {origin}",
            "seed": arguments.seed,
            "faults": {kind: vars(tally) for kind, tally in tallies.by_kind.items()},
            "faults in all": sum(tally.count for tally in tallies.by_kind.values()),
            "with a transaction open or a DATA unfinished": sum(t.either for t in tallies.by_kind.values()),
            **({"not tried": {"disk full": site.no_disk}} if site.no_disk else {}),
            **await _compare(site, mails, directory),
        }
    finally:
        await site.stop()
    return {**figures, "seconds": round(time.monotonic() - began)}


def _plan(site: Site, count: int) -> list[str]:
    """The kinds of the faults, in order: each kind equally often for a part of them, the rest at random."""
    kinds = {kind: weight for kind, (_, weight) in KINDS.items() if kind != "disk full" or site.no_disk is None}
    each = max(1, count // 9)
    plan = [kind for kind in kinds for _ in range(each)][:count]
    plan += site.rng.choices(list(kinds), weights=list(kinds.values()), k=count - len(plan))
    site.rng.shuffle(plan)
    return plan


async def _strike(site: Site, mails: list[bytes], count: int) -> Tallies:
    """Hand over the mails in lots, a fault beside each."""
    tallies = Tallies()
    plan = _plan(site, count)
    lots = [mails[len(mails) * n // count : len(mails) * (n + 1) // count] for n in range(count)]
    for number, (kind, lot) in enumerate(zip(plan, lots, strict=True), 1):
        giving = asyncio.create_task(asyncio.to_thread(site.give, lot))
        await asyncio.sleep(site.rng.random() * 0.1)
        await KINDS[kind][0](site, tallies.of(kind))
        await giving
        site.daemon.wait_ready()
        if number % 10 == 0:
            print(f"torture: {number} faults of {count}", file=sys.stderr, flush=True)
    return tallies


async def _compare(site: Site, mails: list[bytes], directory: Path) -> dict[str, Any]:
    """What became of the mails, beside a quiet import of the same."""
    assert site.server is not None
    place = directory / "mails"
    place.mkdir()
    for number, mail in enumerate(mails):
        (place / f"{number:05}.eml").write_bytes(mail)
    quiet_place = directory / "quiet"
    quiet_place.mkdir()
    quiet = DaemonProcess(quiet_place, data_directory=directory / "disk/quiet")
    imported = await asyncio.to_thread(quiet.run, "import", str(place), patience=END)
    assert imported.returncode == 0, imported.stderr[-2000:]
    status = json.loads(_output(quiet, "status", "--json"))["counts"]
    quiet_repeats = status["deliveries"] - status["messages"]
    wanted, found = _output(quiet, "dump"), _output(site.daemon, "dump")
    for name, dump in (("wanted", wanted), ("found", found)):
        (site.daemon.directory / f"{name}.dump").write_bytes(dump)
    counts = json.loads(_output(site.daemon, "status", "--json"))["counts"]
    statuses = site.server.statuses()
    outcomes = [outcome for _, _, outcome in statuses]
    acknowledged = {id_ for id_, _, outcome in statuses if outcome == "sent"}
    kept = await _queue_ids(site)
    audit = await asyncio.to_thread(site.daemon.run, "audit", "--against", str(site.server.log), patience=END)
    return {
        "attempts of the mail server": {name: outcomes.count(name) for name in ("sent", "deferred", "bounced")},
        "deliveries": counts["deliveries"],
        "stored, unacknowledged and delivered again": counts["deliveries"] - counts["messages"] - quiet_repeats,
        "batches that failed": site.failures(),
        "promises": {
            "the queue is empty": not site.server.queue(),
            "nothing bounced": "bounced" not in outcomes,
            "each mail was acknowledged": len(acknowledged) == len(mails),
            "each acknowledged mail is there": acknowledged <= kept,
            "the audit of its log finds each": audit.stderr == f"all {len(mails)} mails are here\n".encode(),
            "the dump equals that of a quiet import": found == wanted,
            "nothing went to quarantine": counts["quarantined"] == 0,
            "no traceback in the daemon's log": "Traceback" not in site.daemon.read_log(),
        },
    }


def _output(daemon: DaemonProcess, *command: str) -> bytes:
    result = daemon.run(*command, patience=END)
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


async def _queue_ids(site: Site) -> set[str]:
    """The mail server's ids of all that was stored."""
    connection = await asyncpg.connect(site.postgres.url)
    try:
        return {row["queue_id"] for row in await connection.fetch("SELECT queue_id FROM ingestd_v1.delivery")}
    finally:
        await connection.close()


if __name__ == "__main__":
    sys.exit(main())
