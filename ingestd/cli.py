"""Every command: parse the arguments, call one function, turn errors into exit codes."""

# Heavy imports are within the commands: `ingestd deliver` runs once a mail, and needs none of them.
import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from ingestd import config as configuration
from ingestd.errors import ConfigError, InputError, MailError, Permanent, UnavailableError, UserError

if TYPE_CHECKING:
    from ingestd.config import Config
    from ingestd.ingest import Outcome

EX_USAGE, EX_DATAERR, EX_UNAVAILABLE, EX_SOFTWARE, EX_TEMPFAIL, EX_CONFIG = 64, 65, 69, 70, 75, 78

GREETING = {"lmtp": "LHLO", "smtp": "EHLO"}

Result = TypeVar("Result")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ingestd", prog_name="ingestd")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Configuration file. Default: $INGESTD_CONFIG, else /etc/ingestd/config.toml where there is one.",
)
@click.pass_context
def ingestd(context: click.Context, config_path: Path | None) -> None:
    """Take patches from mailing lists and keep them, grouped into series, in PostgreSQL."""
    context.obj = config_path


def _config(context: click.Context) -> "Config":
    return configuration.load(context.obj)


def _run(config: "Config", work: Coroutine[Any, Any, Result]) -> Result:
    from ingestd import logs

    logs.set_up(config.log.level, config.log.format)
    try:
        return asyncio.run(work)
    except BrokenPipeError:
        # Whoever reads has seen enough; what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


@ingestd.command()
@click.pass_context
def serve(context: click.Context) -> None:
    """Run the daemon in the foreground: take mail over LMTP and SMTP until SIGTERM."""
    from ingestd import daemon

    config = _config(context)
    _run(config, daemon.serve(config, daemon.announce, lambda: _config(context)))


@ingestd.command()
@click.option("--sql", is_flag=True, help="Print the statements for an empty database instead of running them.")
@click.pass_context
def migrate(context: click.Context, sql: bool) -> None:
    """Bring the schema to this version. Safe to run from several hosts at once."""
    from ingestd import daemon
    from ingestd.store import migrate as migrations

    if sql:
        click.echo(migrations.sql(), nl=False)
        return
    config = _config(context)

    async def work() -> None:
        async with daemon.open_database(config) as database:
            done = await migrations.upgrade(database)
            state = "migrated to" if done else "already at"
            click.echo(f"database {database.name}: {state} schema {migrations.head()}")

    _run(config, work())


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

    config = _config(context)

    async def work() -> load.Summary:
        async with daemon.open_database(config) as database:
            await daemon.prepare(config, database)
            mails = chain.from_iterable(files.read(source) for source in sources)
            with load.progress() as progress:
                return await load.load(
                    mails, Committer(database), service.router(config), list_id=list_id, progress=progress
                )

    summary = _run(config, work())
    click.echo(f"imported: {summary}", err=True)


@ingestd.command()
@click.option("--list", "list_id", metavar="LIST-ID", help="Put the mail into this list, whatever it says.")
@click.option("--sender", "-f", help="Envelope sender. Default: that of an mbox `From ` line, else the null sender.")
@click.argument("recipients", nargs=-1, metavar="[RECIPIENT...]")
@click.pass_context
def deliver(context: click.Context, list_id: str | None, sender: str | None, recipients: Sequence[str]) -> None:
    """Hand one mail on standard input to the running daemon, for mail servers that pipe.

    Exit 0: stored. 75: keep the mail and try again. 65: refused for good.
    """
    from ingestd.receive import pipe

    try:
        config = _config(context)
        pipe.deliver(
            sys.stdin.buffer,
            config.lmtp.socket or configuration.split_address(config.lmtp.address),
            sender=sender,
            recipients=recipients,
            list_id=list_id,
        )
    except Permanent as error:
        _fail(str(error), EX_DATAERR)
    except Exception as error:  # noqa: BLE001 - a mail server bounces on anything but 75
        _fail(str(error) or type(error).__name__, EX_TEMPFAIL)


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
    config = _config(context)

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

    text, missing, doubtful = _run(config, work())
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()
    for line in dict.fromkeys(doubtful):
        click.echo(f"ingestd: left out, not by its sender: {line}", err=True)
    if missing:
        numbers = ", ".join(str(number) for number in missing)
        raise InputError(f"{message_id}: the series lacks {numbers}; what is there was written")


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
        config = _config(context)
        found = [_run(config, work(config))]
    for index, (raw, place) in enumerate(found):
        if index:
            click.echo()
        for name, value in (*explain_mail(parse(raw)), *place):
            click.echo(f"{name}: {value}")


@ingestd.command()
@click.argument("message_id", metavar="MESSAGE-ID")
@click.option("--series", "key", metavar="KEY", help="It belongs to the series with this key.")
@click.option("--alone", is_flag=True, help="It is a series of its own.")
@click.option("--undo", is_flag=True, help="Take back what was said of it.")
@click.option("--list", "list_id", metavar="LIST-ID", help="The mail as it is on this list.")
@click.pass_context
def relink(
    context: click.Context, message_id: str, key: str | None, alone: bool, undo: bool, list_id: str | None
) -> None:
    """Say to which series a mail belongs, whatever grouping says; kept when mail is read or grouped anew."""
    from ingestd import daemon
    from ingestd.store import migrate as migrations
    from ingestd.store import read, relinks

    if (key is not None) + alone + undo != 1:
        raise click.UsageError("relink needs one of --series, --alone and --undo")
    config = _config(context)

    async def work() -> list[tuple[str, str]]:
        async with daemon.open_database(config) as database:
            await migrations.check(database)
            async with database.ingest() as connection:
                message = await read.find(connection, message_id, list_id)
                if key is not None:
                    await relinks.move(connection, message, key)
                elif alone:
                    await relinks.set_apart(connection, message)
                else:
                    await relinks.take_back(connection, message)
                return [line for line in await read.place(connection, message) if line[0] in ("relinked", "series")]

    for name, value in _run(config, work()) or [("series", "none")]:
        click.echo(f"{name}: {value}")


@ingestd.command()
@click.option("--list", "list_id", metavar="LIST-ID", help="This list only.")
@click.pass_context
def dump(context: click.Context, list_id: str | None) -> None:
    """Print the content of the database as canonical JSON lines. Equal dumps mean equal content."""
    from ingestd import daemon
    from ingestd.store import dump as dumping
    from ingestd.store import migrate as migrations

    config = _config(context)

    async def work() -> None:
        async with daemon.open_database(config) as database:
            await migrations.check(database)
            async for line in dumping.lines(database, list_id):
                sys.stdout.buffer.write(line.encode() + b"\n")
            sys.stdout.buffer.flush()

    _run(config, work())


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

    config = _config(context)

    async def work() -> tuple[int, int]:
        seen = lacking = 0
        async with daemon.open_store(config) as database:
            for source in against:
                async for found in auditing.compare(database, source, list_id=list_id, recipients=recipients):
                    seen += 1
                    if found.lacking is not None:
                        lacking += 1
                        click.echo("  ".join(map(_shown, (found.lacking, found.mail, found.where))))
        return seen, lacking

    seen, lacking = _run(config, work())
    if lacking:
        raise InputError(f"{lacking} of {seen} mails are not here")
    click.echo(f"all {seen} mails are here", err=True)


@ingestd.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Show versions, counts and what is waiting."""
    from ingestd import daemon
    from ingestd.receive import pipe
    from ingestd.store import read

    config = _config(context)

    async def work() -> dict[str, Any]:
        async with daemon.open_database(config) as database:
            return await read.status(database)

    listeners = {}
    for protocol, section in (("lmtp", config.lmtp), ("smtp", config.smtp)):
        for address in filter(None, (section.address, section.socket)):
            where = address if address == section.socket else configuration.split_address(address)
            listeners[f"{protocol} {address}"] = pipe.answers(where, GREETING[protocol])
    state = {**_run(config, work()), "listeners": listeners}
    if config.metrics.address:
        state["ready"] = _ready(config)
    if as_json:
        click.echo(json.dumps(state, indent=2))
    else:
        for name, value in _flatten(state):
            click.echo(f"{name}: {'-' if value is None else value}")


def _ready(config: "Config") -> str:
    """What the daemon says of itself."""
    from ingestd import monitor

    try:
        return monitor.ask(configuration.split_address(config.metrics.address))
    except UnavailableError as error:
        return str(error)


def _flatten(tree: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    lines: list[tuple[str, Any]] = []
    for name, value in tree.items():
        lines += _flatten(value, f"{above}{name}.") if isinstance(value, dict) else [(above + name, value)]
    return lines


@ingestd.command()
@click.pass_context
def health(context: click.Context) -> None:
    """Exit 0 if a mail would be accepted now: the daemon answers, and the database can be written."""
    from ingestd import daemon
    from ingestd.receive import pipe

    config = _config(context)
    section, protocol = (config.lmtp, "lmtp") if config.lmtp.address or config.lmtp.socket else (config.smtp, "smtp")
    where = section.socket or configuration.split_address(section.address)
    if not pipe.answers(where, GREETING[protocol]):
        raise UnavailableError(f"no answer from the daemon on {protocol} {section.socket or section.address}")

    async def work() -> None:
        async with daemon.open_database(config) as database:
            await database.ping()

    _run(config, work())
    if config.metrics.address and (said := _ready(config)) != "ready":
        raise UnavailableError(f"the daemon says: {said}")


@ingestd.group()
def quarantine() -> None:
    """Mails that our code failed on: they are kept as they came, with the error."""


@quarantine.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON lines.")
@click.option("--ended", is_flag=True, help="Those that were replayed or dropped instead.")
@click.pass_context
def quarantine_list(context: click.Context, as_json: bool, ended: bool) -> None:
    """List the mails in quarantine, oldest first."""
    from ingestd.store import quarantine as store

    found: Sequence[object] = _transact(context, store.ended if ended else store.entries)
    for entry in found:
        facts = _facts(entry)
        click.echo(json.dumps(facts, ensure_ascii=False) if as_json else "  ".join(map(_shown, facts.values())))


@quarantine.command("show")
@click.argument("entry_id", type=int, metavar="ID")
@click.option("--raw", is_flag=True, help="The bytes as they were received.")
@click.pass_context
def quarantine_show(context: click.Context, entry_id: int, raw: bool) -> None:
    """Show one mail in quarantine: how it came and what failed."""
    from ingestd.store import quarantine as store

    async def work(connection: Any) -> tuple["store.Entry", bytes]:  # noqa: ANN401 - only the store knows it
        (entry,) = await store.entries(connection, [entry_id])
        return entry, await store.raw(connection, entry)

    entry, mail = _transact(context, work)
    if raw:
        sys.stdout.buffer.write(mail)
        sys.stdout.buffer.flush()
        return
    for name, value in _facts(entry).items():
        click.echo(f"{name}: {_shown(value)}")


@quarantine.command("replay")
@click.argument("entry_ids", type=int, nargs=-1, metavar="[ID...]")
@click.pass_context
def quarantine_replay(context: click.Context, entry_ids: Sequence[int]) -> None:
    """Take mails in as if they had just come: these, or all. Exit 65 when one fails again and stays."""
    from ingestd import daemon, ingest, service
    from ingestd.store import quarantine as store

    config = _config(context)

    async def work() -> int:
        async with daemon.open_store(config) as database:
            committer, router = ingest.Committer(database), service.router(config)
            async with database.transaction() as connection:
                waiting = await store.entries(connection, entry_ids or None)
            left = 0
            for entry in waiting:
                async with database.transaction() as connection:
                    raw = await store.raw(connection, entry)
                outcome = await ingest.replay(committer, router, entry, raw)
                left += isinstance(outcome, MailError) or not outcome
                click.echo(f"{entry.id}: {_told(outcome)}")
            return left

    if left := _run(config, work()):
        raise InputError(f"{left} in quarantine still")


def _told(outcome: "Outcome") -> str:
    """What became of a replayed mail."""
    if isinstance(outcome, MailError):
        return f"stays: {outcome}"
    return (
        ", ".join(f"{'repeat' if one.repeat else 'new'} on {_shown(one.list_id)}" for one in outcome) or "fails again"
    )


@quarantine.command("drop")
@click.argument("entry_ids", type=int, nargs=-1, required=True, metavar="ID...")
@click.option("--reason", required=True, help="Why nobody needs it. Kept with the entry.")
@click.pass_context
def quarantine_drop(context: click.Context, entry_ids: Sequence[int], reason: str) -> None:
    """Give up mails in quarantine for good: their bytes go, a trace with the reason stays."""
    from ingestd.store import quarantine as store

    if not reason.strip():
        raise click.UsageError("--reason is empty")

    _transact(context, lambda connection: store.drop(connection, entry_ids, reason), write=True)


def _transact(
    context: click.Context, work: Callable[[Any], Coroutine[Any, Any, Result]], *, write: bool = False
) -> Result:
    """Run `work` in one transaction on a database with our schema; `write`: it holds the ingest lock."""
    from ingestd import daemon

    config = _config(context)

    async def transaction() -> Result:
        async with (
            daemon.open_store(config) as database,
            database.ingest() if write else database.transaction() as connection,
        ):
            return await work(connection)

    return _run(config, transaction())


def _facts(row: Any) -> dict[str, Any]:  # noqa: ANN401 - any row of the store
    """A row as JSON has it: digests in hex, times in ISO 8601."""
    return {
        name: value.hex() if isinstance(value, bytes) else value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(row).items()
    }


def _shown(value: object) -> str:
    """A value on a terminal: what a mail says must not move the cursor."""
    text = "-" if value is None else ", ".join(value) if isinstance(value, tuple) else str(value)
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


@ingestd.group("config")
def config_group() -> None:
    """Check and show the configuration."""


@config_group.command("check")
@click.pass_context
def config_check(context: click.Context) -> None:
    """Exit 0 if the configuration can be used, else say what is wrong and exit 78."""
    _config(context)
    click.echo("the configuration is good")


@config_group.command("show")
@click.pass_context
def config_show(context: click.Context) -> None:
    """Print the resolved configuration as JSON, secrets masked."""
    click.echo(json.dumps(configuration.show(_config(context)), indent=2, ensure_ascii=False))


def _fail(message: str, code: int) -> NoReturn:
    """One line for a person, and an exit code for a program."""
    click.echo(f"ingestd: {message}", err=True)
    sys.exit(code)


def main() -> None:
    """Run the command line; exit codes are those of sysexits(3)."""
    try:
        ingestd.main(standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.Abort:
        _fail("interrupted", EX_TEMPFAIL)
    except click.ClickException as error:
        # A pipe from a mail server that is set up wrongly must not bounce mail.
        delivering = "deliver" in sys.argv[1:]
        _fail(error.format_message(), EX_TEMPFAIL if delivering else EX_USAGE)
    except ConfigError as error:
        _fail(str(error), EX_CONFIG)
    except UserError as error:
        _fail(str(error), error.exit_code)
    except MailError as error:
        _fail(str(error), EX_DATAERR if isinstance(error, Permanent) else EX_TEMPFAIL)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the last resort: our bug, said in one line and with its trace
        import traceback

        traceback.print_exc()
        _fail(f"internal error, please report it: {type(error).__name__}: {error}", EX_SOFTWARE)
