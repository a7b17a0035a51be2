"""Archives in and patches out: import, audit, export."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from ingestd.cli.command import EX_DATAERR, config_of, ingestd, run, shown
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
@click.argument("message_ids", nargs=-1, required=True, metavar="MESSAGE-ID...")
@click.option("--list", "list_id", metavar="LIST-ID", help="The mails as they are on this list.")
@click.option("--series", "whole", is_flag=True, help="The whole series it belongs to, in order, re-rolls laid over.")
@click.option("--trailers", is_flag=True, help="Add the trailers that replies gave, to older versions too.")
@click.option("--thread", is_flag=True, help="All mails of its thread as mboxrd, nothing changed.")
@click.option("--raw", is_flag=True, help="The bytes as they were received; several mails as mboxrd.")
@click.pass_context
def export(
    context: click.Context,
    message_ids: Sequence[str],
    list_id: str | None,
    whole: bool,
    trailers: bool,
    thread: bool,
    raw: bool,
) -> None:
    """Write patches to standard output, as mbox ready for `git am`; `-` reads their ids from standard input."""
    from ingestd import daemon
    from ingestd.mail.export import mbox_entry, mboxrd_entry
    from ingestd.store import read

    if thread + raw + (whole or trailers) > 1:
        raise click.UsageError("--raw, --thread, and --series or --trailers, go alone")
    config = config_of(context)
    alone = len(message_ids) == 1 and message_ids != ("-",)
    written: set[int] = set()  # a mail that several ids lead to is written once

    async def entries(connection: Any, message_id: str) -> tuple[dict[int, bytes], list[str], tuple[int, ...]]:  # noqa: ANN401 - only the store knows it
        """What one id leads to: mails, trailers left out, numbers missing."""
        message = await read.find(connection, message_id, list_id)
        messages, missing = await read.series_of(connection, message) if whole else ((message,), ())
        if thread:
            messages = await read.thread_of(connection, message)
        made: dict[int, bytes] = {}
        left_out: list[str] = []
        for one in messages:
            if one in written:
                continue
            if thread or raw:
                mail = await read.raw(connection, one)
                made[one] = mail if raw and alone else mboxrd_entry(mail)
                continue
            sure, doubtful = await read.reviews(connection, one) if trailers else ([], [])
            made[one] = mbox_entry(await read.patch(connection, one), sure)
            left_out += doubtful
        return made, left_out, missing

    async def work() -> bool:
        whole_of_all = True
        async with daemon.open_store(config) as database:
            for message_id in _ids(message_ids):
                try:
                    async with database.transaction() as connection:
                        made, left_out, missing = await entries(connection, message_id)
                    written.update(made)
                    sys.stdout.buffer.write(b"".join(made.values()))
                    sys.stdout.buffer.flush()
                    for line in dict.fromkeys(left_out):
                        click.echo(f"ingestd: left out, not by its sender: {line}", err=True)
                    if missing:
                        numbers = ", ".join(str(number) for number in missing)
                        raise InputError(f"{message_id}: the series lacks {numbers}; what is there was written")
                except InputError as error:
                    whole_of_all = False
                    click.echo(f"ingestd: {shown(str(error))}", err=True)
        return whole_of_all

    if not run(config, work()):
        sys.exit(EX_DATAERR)


def _ids(arguments: Sequence[str]) -> Iterator[str]:
    """Message-IDs as given; `-` stands for those on standard input, one a line."""
    for argument in arguments:
        if argument != "-":
            yield argument
            continue
        for line in sys.stdin.buffer:
            if found := line.decode("utf-8", "replace").replace("\0", "\ufffd").strip():
                yield found
