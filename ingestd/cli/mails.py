"""What is known of mails, and a human's word on them: explain, relink, dump, follow."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ingestd.cli.command import config_of, ingestd, run

if TYPE_CHECKING:
    from ingestd.config import Config


@ingestd.command()
@click.argument("mail", metavar="FILE|MESSAGE-ID")
@click.option("--list", "list_id", metavar="LIST-ID", help="The mail as it is on this list.")
@click.pass_context
def explain(context: click.Context, mail: str, list_id: str | None) -> None:
    """Say why a mail is what it is: kind, version, number, author, series, each with its evidence."""
    from ingestd import daemon
    from ingestd.mail.explain import explain as explain_mail
    from ingestd.mail.parse import parse
    from ingestd.sources import files
    from ingestd.store import migrate as migrations
    from ingestd.store import read

    async def work(config: "Config") -> tuple[bytes, list[tuple[str, str]]]:
        async with daemon.open_database(config) as database:
            await migrations.check(database)
            async with database.transaction() as connection:
                message = await read.find(connection, mail, list_id)
                return await read.raw(connection, message), await read.place(connection, message)

    if Path(mail).exists():
        found: list[tuple[bytes, list[tuple[str, str]]]] = [(raw, []) for _, raw in files.read(mail)]
    else:
        config = config_of(context)
        found = [run(config, work(config))]
    for index, (raw, place) in enumerate(found):
        if index:
            click.echo()
        for name, value in (*explain_mail(parse(raw)), *place):
            click.echo(f"{name}: {value}")


@ingestd.command()
@click.argument("message_id", metavar="MESSAGE-ID")
@click.option("--series", "key", metavar="KEY", help="It belongs to the series with this key.")
@click.option("--alone", is_flag=True, help="It is a series of its own.")
@click.option("--supersedes", "older", metavar="KEY", help="Its series supersedes the one with this key.")
@click.option("--supersedes-nothing", "first", is_flag=True, help="Its series supersedes none.")
@click.option("--undo", is_flag=True, help="Take back what was said of it.")
@click.option("--list", "list_id", metavar="LIST-ID", help="The mail as it is on this list.")
@click.pass_context
def relink(
    context: click.Context,
    message_id: str,
    key: str | None,
    alone: bool,
    older: str | None,
    first: bool,
    undo: bool,
    list_id: str | None,
) -> None:
    """Say to which series a mail belongs, or what its series supersedes, whatever the rules say; it stays said."""
    from ingestd import daemon
    from ingestd.store import migrate as migrations
    from ingestd.store import read, relinks

    if (key is not None) + alone + (older is not None) + first + undo != 1:
        raise click.UsageError("relink needs one of --series, --alone, --supersedes, --supersedes-nothing and --undo")
    config = config_of(context)
    shown = ("relinked", "series", "supersedes")

    async def work() -> list[tuple[str, str]]:
        async with daemon.open_database(config) as database:
            await migrations.check(database)
            async with database.ingest() as connection:
                message = await read.find(connection, message_id, list_id)
                if key is not None:
                    await relinks.move(connection, message, key)
                elif alone:
                    await relinks.set_apart(connection, message)
                elif older is not None or first:
                    await relinks.supersede(connection, message, older)
                else:
                    await relinks.take_back(connection, message)
                return [line for line in await read.place(connection, message) if line[0] in shown]

    for name, value in run(config, work()) or [("series", "none")]:
        click.echo(f"{name}: {value}")


@ingestd.command()
@click.option("--list", "list_id", metavar="LIST-ID", help="This list only.")
@click.pass_context
def dump(context: click.Context, list_id: str | None) -> None:
    """Print the content of the database as canonical JSON lines. Equal dumps mean equal content."""
    from ingestd import daemon
    from ingestd.store import dump as dumping
    from ingestd.store import migrate as migrations

    config = config_of(context)

    async def work() -> None:
        async with daemon.open_database(config) as database:
            await migrations.check(database)
            async for line in dumping.lines(database, list_id):
                sys.stdout.buffer.write(line.encode() + b"\n")
            sys.stdout.buffer.flush()

    run(config, work())


@ingestd.command()
@click.option("--after", type=click.IntRange(min=0), metavar="CURSOR", help="Only what came after this event.")
@click.option("--new", is_flag=True, help="Only what comes from now on.")
@click.option("--no-wait", is_flag=True, help="Stop at the end of the log.")
@click.option("--list", "list_id", metavar="LIST-ID", help="This list only.")
@click.pass_context
def follow(context: click.Context, after: int | None, new: bool, no_wait: bool, list_id: str | None) -> None:
    """Print the event log as JSON lines, then each event as it happens. Go on later with the last line's cursor."""
    from ingestd import daemon
    from ingestd.store import follow as following

    if new and after is not None:
        raise click.UsageError("--new goes not with --after")
    config = config_of(context)

    async def work() -> None:
        async with daemon.open_store(config) as database:
            start = await following.last(database) if new else after or 0
            events = following.past(database, start) if no_wait else following.follow(database, start)
            async for event in events:
                if list_id is None or event["list_id"] == list_id:
                    # Each at once: who reads waits for it.
                    click.echo(json.dumps({**event, "at": event["at"].isoformat()}, ensure_ascii=False))

    run(config, work())
