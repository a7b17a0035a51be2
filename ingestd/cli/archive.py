"""Archives in and patches out: import, audit, export."""

import sys
from collections.abc import Sequence

import click

from ingestd.cli.command import config_of, ingestd, run, shown
from ingestd.errors import InputError


@ingestd.command("import")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--list", "list_id", metavar="LIST-ID", help="Put all mails into this list, whatever they say.")
@click.pass_context
def import_(context: click.Context, sources: Sequence[str], list_id: str | None) -> None:
    """Store mail from archives: an .eml, a directory of .eml, an mbox, or `-` for an mbox on standard input."""
    from itertools import chain

    from ingestd import daemon, service
    from ingestd.ingest import Committer
    from ingestd.sources import files, load

    config = config_of(context)

    async def work() -> load.Summary:
        async with daemon.open_database(config) as database:
            await daemon.prepare(config, database)
            mails = chain.from_iterable(files.read(source) for source in sources)
            with load.progress() as progress:
                return await load.load(
                    mails, Committer(database), service.router(config), list_id=list_id, progress=progress
                )

    summary = run(config, work())
    click.echo(f"imported: {summary}", err=True)


@ingestd.command()
@click.option("--against", multiple=True, required=True, metavar="SOURCE", help="An archive or a log. May be repeated.")
@click.option("--list", "list_id", metavar="LIST-ID", help="Look for an archive's mails on this list only.")
@click.option(
    "--recipient", "recipients", multiple=True, metavar="PATTERN", help="In a log: mail for this address too."
)
@click.pass_context
def audit(context: click.Context, against: Sequence[str], list_id: str | None, recipients: Sequence[str]) -> None:
    """Say which mails an archive or a mail server's log has and we lack. Exit 65 when there are any."""
    from ingestd import daemon
    from ingestd.sources import audit as auditing

    config = config_of(context)

    async def work() -> tuple[int, int]:
        seen = lacking = 0
        async with daemon.open_store(config) as database:
            for source in against:
                async for found in auditing.compare(database, source, list_id=list_id, recipients=recipients):
                    seen += 1
                    if found.lacking is not None:
                        lacking += 1
                        click.echo("  ".join(map(shown, (found.lacking, found.mail, found.where))))
        return seen, lacking

    seen, lacking = run(config, work())
    if lacking:
        raise InputError(f"{lacking} of {seen} mails are not here")
    click.echo(f"all {seen} mails are here", err=True)


@ingestd.command()
@click.argument("message_id", metavar="MESSAGE-ID")
@click.option("--list", "list_id", metavar="LIST-ID", help="The mail as it is on this list.")
@click.option("--series", "whole", is_flag=True, help="The whole series it belongs to, in order, re-rolls laid over.")
@click.option("--trailers", is_flag=True, help="Add the trailers that replies gave, to older versions too.")
@click.option("--raw", is_flag=True, help="The bytes as they were received.")
@click.pass_context
def export(
    context: click.Context, message_id: str, list_id: str | None, whole: bool, trailers: bool, raw: bool
) -> None:
    """Write a patch to standard output, as mbox ready for `git am`."""
    from ingestd import daemon
    from ingestd.mail.export import mbox_entry
    from ingestd.store import migrate as migrations
    from ingestd.store import read

    if raw and (whole or trailers):
        raise click.UsageError("--raw goes with neither --series nor --trailers")
    config = config_of(context)

    async def work() -> tuple[bytes, tuple[int, ...], list[str]]:
        async with daemon.open_database(config) as database:
            await migrations.check(database)
            async with database.transaction() as connection:
                message = await read.find(connection, message_id, list_id)
                if raw:
                    return await read.raw(connection, message), (), []
                messages, missing = await read.series_of(connection, message) if whole else ((message,), ())
                patches = await read.patches(connection, messages)
                reviews = [await read.reviews(connection, id_) if trailers else ([], []) for id_ in messages]
                made = [mbox_entry(patch, sure) for patch, (sure, _) in zip(patches, reviews, strict=True)]
                return b"".join(made), missing, [line for _, doubtful in reviews for line in doubtful]

    text, missing, doubtful = run(config, work())
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()
    for line in dict.fromkeys(doubtful):
        click.echo(f"ingestd: left out, not by its sender: {line}", err=True)
    if missing:
        numbers = ", ".join(str(number) for number in missing)
        raise InputError(f"{message_id}: the series lacks {numbers}; what is there was written")
