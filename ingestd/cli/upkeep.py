"""What keeps a database in order: reparse, forget, backup, restore."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ingestd.cli.command import config_of, ingestd, run, shown
from ingestd.errors import ConfigError

if TYPE_CHECKING:
    from ingestd.config import Config
    from ingestd.reparse import Line, Totals

PROGRESS_SECONDS = 5.0


@ingestd.command()
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@click.option("--list", "list_id", metavar="LIST-ID", default="", help="The mails of this list only.")
@click.pass_context
def reparse(context: click.Context, dry_run: bool, list_id: str) -> None:
    """Read all stored mail again by today's rules, beside live mail, and print what changed."""
    import contextlib

    from ingestd import daemon
    from ingestd.reparse import Reparse
    from ingestd.store import walk

    config = config_of(context)

    async def work() -> "Totals":
        async with daemon.open_store(config) as database, contextlib.AsyncExitStack() as stack:
            if not dry_run:
                await stack.enter_async_context(walk.alone(database))

            async def tell(lines: "Iterable[Line]") -> None:
                async with database.transaction() as connection:
                    names = await walk.names(connection)
                for what, list_, key, happened in lines:
                    click.echo(f"{what} {shown(key)} on {shown(names[list_])}: {shown(happened)}")

            with _progress() as progress:
                one = Reparse(database, list_id, rehearse=dry_run, progress=progress)
                await one.run(tell)
            return one.totals

    totals = run(config, work())
    if totals.after:
        click.echo(f"went on after mail {totals.after}, where the last one was stopped", err=True)
    click.echo(f"{'would be ' if dry_run else ''}reparsed: {totals}", err=True)


@ingestd.command()
@click.argument("message_id", metavar="MESSAGE-ID")
@click.option("--reason", help="Why. Kept on the tombstone, and shown in the views.")
@click.option("--list", "list_id", metavar="LIST-ID", help="On this list only, not on all.")
@click.option("--undo", is_flag=True, help="Let copies of it come in again.")
@click.pass_context
def forget(context: click.Context, message_id: str, reason: str | None, list_id: str | None, undo: bool) -> None:
    """Remove a mail for good, bytes and all, and keep its copies out. What is left is a tombstone."""
    from ingestd import daemon
    from ingestd import forget as forgetting
    from ingestd.store import tombstones

    if undo and reason is not None:
        raise click.UsageError("--undo goes without --reason")
    if not undo and not (reason or "").strip():
        raise click.UsageError("forget needs a --reason")
    config = config_of(context)
    key = message_id.strip().removeprefix("<").removesuffix(">")

    async def work() -> int:
        async with daemon.open_store(config) as database:
            if reason is not None:
                return await forgetting.forget(database, key, list_id, reason)
            async with database.ingest() as connection:
                return await tombstones.lift(connection, key, list_id)

    count = run(config, work())
    done = "may come in again" if undo else "forgotten"
    click.echo(f"{done}, on {count} {'list' if count == 1 else 'lists'}", err=True)


@ingestd.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.pass_context
def backup(context: click.Context, directory: Path) -> None:
    """Write a copy of the embedded database to a new directory, beside a daemon that runs."""
    from ingestd import backup as backups

    config = config_of(context)
    home, bindir = _embedded(config, "pg_dump")
    run(config, backups.save(home, bindir, directory))
    click.echo(f"backed up to {directory}", err=True)


@ingestd.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.pass_context
def restore(context: click.Context, directory: Path) -> None:
    """Fill an empty embedded database from a backup, also from one of an older PostgreSQL."""
    from ingestd import backup as backups

    config = config_of(context)
    home, bindir = _embedded(config, "pg_restore")
    schema = run(config, backups.load(directory, home, bindir))
    click.echo(f"restored to {home}, schema {schema}", err=True)


def _embedded(config: "Config", program: str) -> tuple[Path, Path | None]:
    """Where the embedded database is. ConfigError where another one is configured."""
    from ingestd import daemon

    if config.database.url:
        raise ConfigError(f"database.url names a server of your own: use its {program}")
    return daemon.embedded(config)


@contextmanager
def _progress() -> "Iterator[Callable[[Totals], None]]":
    """Show how far it is: a line that changes on a terminal, else a log line every few seconds."""
    import structlog

    shown_at = time.monotonic()
    terminal = sys.stderr.isatty()

    def show(totals: "Totals") -> None:
        nonlocal shown_at
        now = time.monotonic()
        if now - shown_at < (0.2 if terminal else PROGRESS_SECONDS):
            return
        shown_at = now
        if terminal:
            sys.stderr.write(f"\r{totals.read} of {totals.mails} mails read\x1b[K")
            sys.stderr.flush()
        else:
            structlog.get_logger().info("reparse_progress", read=totals.read, mails=totals.mails)

    try:
        yield show
    finally:
        if terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
