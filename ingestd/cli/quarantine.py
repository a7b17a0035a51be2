"""Mails that our code failed on: list, show, replay, drop."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ingestd.cli.command import config_of, facts_of, ingestd, run, shown, transact
from ingestd.errors import InputError, MailError

if TYPE_CHECKING:
    from ingestd.ingest import Outcome
    from ingestd.store import quarantine as store
    from ingestd.store.values import Stored


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

    found: Sequence[object] = transact(context, store.ended if ended else store.entries)
    for entry in found:
        facts = facts_of(entry)
        click.echo(json.dumps(facts, ensure_ascii=False) if as_json else "  ".join(map(shown, facts.values())))


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

    entry, mail = transact(context, work)
    if raw:
        sys.stdout.buffer.write(mail)
        sys.stdout.buffer.flush()
        return
    for name, value in facts_of(entry).items():
        click.echo(f"{name}: {shown(value)}")


@quarantine.command("replay")
@click.argument("entry_ids", type=int, nargs=-1, metavar="[ID...]")
@click.pass_context
def quarantine_replay(context: click.Context, entry_ids: Sequence[int]) -> None:
    """Take mails in as if they had just come: these, or all. Exit 65 when one fails again and stays."""
    from ingestd import daemon, ingest, service
    from ingestd.store import quarantine as store

    config = config_of(context)

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

    if left := run(config, work()):
        raise InputError(f"{left} in quarantine still")


def _told(outcome: "Outcome") -> str:
    """What became of a replayed mail."""
    if isinstance(outcome, MailError):
        return f"stays: {outcome}"
    return ", ".join(f"{_word(one)} on {shown(one.list_id)}" for one in outcome) or "fails again"


def _word(one: "Stored") -> str:
    return "forgotten" if one.message is None else "repeat" if one.repeat else "new"


@quarantine.command("drop")
@click.argument("entry_ids", type=int, nargs=-1, required=True, metavar="ID...")
@click.option("--reason", required=True, help="Why nobody needs it. Kept with the entry.")
@click.pass_context
def quarantine_drop(context: click.Context, entry_ids: Sequence[int], reason: str) -> None:
    """Give up mails in quarantine for good: their bytes go, a trace with the reason stays."""
    from ingestd.store import quarantine as store

    if not reason.strip():
        raise click.UsageError("--reason is empty")

    transact(context, lambda connection: store.drop(connection, entry_ids, reason), write=True)
