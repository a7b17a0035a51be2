"""Archives in and patches out: import, audit, export."""

import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import click

from ingestd.cli.command import EX_DATAERR, config_of, ingestd, run, shown
from ingestd.errors import InputError

DIALECTS = ("auto", "mboxo", "mboxrd", "mboxcl", "mboxcl2")  # those of `ingestd.sources.mbox`


@ingestd.command("import")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--list", "list_id", metavar="LIST-ID", help="Put all mails into this list, whatever they say.")
@click.option("--resume/--no-resume", default=True, help="Go on where each source was left (default), or start over.")
@click.option("--follow", is_flag=True, help="Go on with what comes to a public-inbox, until SIGTERM.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="At most N mails a second.")
@click.option(
    "--jobs", type=click.IntRange(1, 256), metavar="N", help="Processes that parse. Default: one a core, up to 8."
)
@click.option("--mbox", type=click.Choice(DIALECTS), default="auto", help="The dialect of mboxes.")
@click.pass_context
def import_(
    context: click.Context,
    sources: Sequence[str],
    list_id: str | None,
    resume: bool,
    follow: bool,
    rate: float | None,
    jobs: int | None,
    mbox: str,
) -> None:
    """Store mail from archives: public-inbox, mbox, Maildir, .eml files, also compressed; `-` is an mbox on stdin."""
    from ingestd import daemon, service
    from ingestd.sources import files, following, load, parsing, progress

    config = config_of(context)
    find = partial(files.find, sources, dialect=mbox, largest=config.limits.message_size)
    found = find()  # whatever is no archive is said before anything is written
    if follow and not all(source.grows for source in found):
        raise click.UsageError("--follow is for public-inboxes")

    async def work() -> load.Summary:
        async with daemon.open_database(config) as database:
            await daemon.prepare(config, database)
            settings = parsing.Settings(service.router(config), list_id, config.log.level, config.log.format)
            parsing.spare_collector()
            parser = parsing.Parser(settings, jobs or min(parsing.MOST_JOBS, len(os.sched_getaffinity(0))))
            loading = load.Load(database, parser, load.Options(list_id, resume, rate), progress.teller())
            try:
                await (following.follow(loading, find) if follow else loading.run(found))
                await loading.tally()
            except InputError:
                await loading.tally()
                raise
            finally:
                await parser.close()
                progress.clear()
                click.echo(f"imported: {loading.summary}", err=True)
            return loading.summary

    summary = run(config, work())
    if summary.too_big:
        raise InputError(f"{summary.too_big} mails are not stored: longer than limits.message_size")


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
