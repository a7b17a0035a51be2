"""The HTTP API and the people who may write through it: api, user, token, maintainer."""

import sys
from collections.abc import Sequence

import click

from ingestd.cli.command import config_of, facts_of, ingestd, run, shown, transact


@ingestd.command()
@click.pass_context
def api(context: click.Context) -> None:
    """Answer HTTP in the foreground: Patchwork's REST API, until SIGTERM."""
    from ingestd import daemon

    config = config_of(context)
    run(config, daemon.serve_api(config, daemon.announce_api))


def _print(rows: Sequence[object]) -> None:
    for row in rows:
        click.echo("  ".join(shown(value) for value in facts_of(row).values()))


@ingestd.group()
def user() -> None:
    """People who may log in to the API."""


@user.command("create")
@click.argument("username", metavar="NAME")
@click.option("--email", default="", help="Their address; patches from it are theirs.")
@click.option("--first-name", default="", help="Their first name.")
@click.option("--last-name", default="", help="Their last name.")
@click.option("--password-stdin", is_flag=True, help="Read a password from standard input; without, tokens only.")
@click.pass_context
def user_create(
    context: click.Context, username: str, email: str, first_name: str, last_name: str, password_stdin: bool
) -> None:
    """Add a user."""
    from ingestd.store.api import accounts

    password = accounts.hash_password(_password()) if password_stdin else None
    transact(
        context,
        lambda connection: accounts.create_user(
            connection, username, email=email, first_name=first_name, last_name=last_name, password=password
        ),
        write=True,
    )


def _password() -> str:
    found = sys.stdin.readline().rstrip("\n")
    if len(found) < 8:
        raise click.UsageError("a password has at least 8 letters")
    return found


@user.command("list")
@click.pass_context
def user_list(context: click.Context) -> None:
    """List the users: name, first and last name, address, whether they may log in, what they maintain."""
    from ingestd.store.api import accounts

    _print(transact(context, accounts.users))


@user.command("change")
@click.argument("username", metavar="NAME")
@click.option("--email", help="Their address.")
@click.option("--first-name", help="Their first name.")
@click.option("--last-name", help="Their last name.")
@click.option("--password-stdin", is_flag=True, help="Read a new password from standard input.")
@click.option("--active/--inactive", default=None, help="Whether they may log in.")
@click.pass_context
def user_change(
    context: click.Context,
    username: str,
    email: str | None,
    first_name: str | None,
    last_name: str | None,
    password_stdin: bool,
    active: bool | None,
) -> None:
    """Change what is known of a user. One who is inactive keeps their checks and may not log in."""
    from ingestd.store.api import accounts

    said = {"email": email, "first_name": first_name, "last_name": last_name, "active": active}
    changes = {name: value for name, value in said.items() if value is not None}
    if password_stdin:
        changes["password"] = accounts.hash_password(_password())
    transact(context, lambda connection: accounts.change_user(connection, username, **changes), write=True)


@ingestd.group()
def token() -> None:
    """Tokens of users, for programs."""


@token.command("create")
@click.argument("username", metavar="NAME")
@click.option("--note", default="", help="What it is for.")
@click.pass_context
def token_create(context: click.Context, username: str, note: str) -> None:
    """Make a token for a user and print it. It cannot be seen again: only a digest is kept."""
    from ingestd.store.api import accounts

    click.echo(transact(context, lambda connection: accounts.create_token(connection, username, note), write=True))


@token.command("list")
@click.pass_context
def token_list(context: click.Context) -> None:
    """List the tokens: id, user, note, when it was made, when it was revoked."""
    from ingestd.store.api import accounts

    _print(transact(context, accounts.tokens))


@token.command("revoke")
@click.argument("token_ids", type=int, nargs=-1, required=True, metavar="ID...")
@click.pass_context
def token_revoke(context: click.Context, token_ids: Sequence[int]) -> None:
    """Let tokens be worth nothing."""
    from ingestd.store.api import accounts

    transact(context, lambda connection: accounts.revoke_tokens(connection, token_ids), write=True)


@ingestd.group()
def maintainer() -> None:
    """Who may change the patches of a list."""


@maintainer.command("add")
@click.argument("username", metavar="NAME")
@click.argument("list_id", metavar="LIST-ID")
@click.pass_context
def maintainer_add(context: click.Context, username: str, list_id: str) -> None:
    """Let a user change the patches of a list."""
    _set_maintainer(context, username, list_id, maintains=True)


@maintainer.command("remove")
@click.argument("username", metavar="NAME")
@click.argument("list_id", metavar="LIST-ID")
@click.pass_context
def maintainer_remove(context: click.Context, username: str, list_id: str) -> None:
    """Take that back."""
    _set_maintainer(context, username, list_id, maintains=False)


def _set_maintainer(context: click.Context, username: str, list_id: str, *, maintains: bool) -> None:
    from ingestd.store.api import accounts

    transact(
        context,
        lambda connection: accounts.set_maintainer(connection, username, list_id, maintains=maintains),
        write=True,
    )
