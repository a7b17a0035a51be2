"""The daemon and its mail: serve, migrate, deliver, status, health."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ingestd import config as configuration
from ingestd.cli.command import EX_DATAERR, EX_TEMPFAIL, config_of, fail, ingestd, run
from ingestd.errors import Permanent, UnavailableError

if TYPE_CHECKING:
    from ingestd.config import Config

GREETING = {"lmtp": "LHLO", "smtp": "EHLO"}


@ingestd.command()
@click.option("--with-api", is_flag=True, help="Answer HTTP as well.")
@click.pass_context
def serve(context: click.Context, with_api: bool) -> None:
    """Run the daemon in the foreground: take mail over LMTP and SMTP until SIGTERM."""
    from ingestd import daemon

    config = config_of(context)
    run(config, daemon.serve(config, daemon.announce, lambda: config_of(context), with_api=with_api))


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
    config = config_of(context)

    async def work() -> None:
        async with daemon.open_database(config) as database:
            done = await migrations.upgrade(database)
            async with database.transaction() as connection:
                version = await migrations.current(connection)
            click.echo(f"database {database.name}: {'migrated to' if done else 'already at'} schema {version}")

    run(config, work())


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
        config = config_of(context)
        pipe.deliver(
            sys.stdin.buffer,
            config.lmtp.socket or configuration.split_address(config.lmtp.address),
            sender=sender,
            recipients=recipients,
            list_id=list_id,
        )
    except Permanent as error:
        fail(str(error), EX_DATAERR)
    except Exception as error:  # noqa: BLE001 - a mail server bounces on anything but 75
        fail(str(error) or type(error).__name__, EX_TEMPFAIL)


@ingestd.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Show versions, counts and what is waiting."""
    from ingestd import daemon
    from ingestd.receive import pipe
    from ingestd.store import read

    config = config_of(context)

    async def work() -> dict[str, Any]:
        async with daemon.open_database(config) as database:
            return await read.status(database)

    listeners = {}
    for protocol, section in (("lmtp", config.lmtp), ("smtp", config.smtp)):
        for address in filter(None, (section.address, section.socket)):
            where = address if address == section.socket else configuration.split_address(address)
            listeners[f"{protocol} {address}"] = pipe.answers(where, GREETING[protocol])
    state = {**run(config, work()), "listeners": listeners}
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

    config = config_of(context)
    section, protocol = (config.lmtp, "lmtp") if config.lmtp.address or config.lmtp.socket else (config.smtp, "smtp")
    where = section.socket or configuration.split_address(section.address)
    if not pipe.answers(where, GREETING[protocol]):
        raise UnavailableError(f"no answer from the daemon on {protocol} {section.socket or section.address}")

    async def work() -> None:
        async with daemon.open_database(config) as database:
            await database.ping()

    run(config, work())
    if config.metrics.address and (said := _ready(config)) != "ready":
        raise UnavailableError(f"the daemon says: {said}")
