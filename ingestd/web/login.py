"""Who asks: a token, or a user name with its password."""

import asyncio
import base64
import binascii

from ingestd.store.api import accounts
from ingestd.store.api.accounts import Account
from ingestd.store.engine import Database
from ingestd.web.answer import RefusalError

LONGEST = 1000  # of what somebody says they are


async def account_of(database: Database, said: str | None) -> Account | None:
    """Whose request it is by its `Authorization`; None without one, or of a kind we don't know.

    RefusalError (403, as Patchwork has it) for a token or password that is none.
    """
    kind, _, rest = (said or "").strip().partition(" ")
    rest = rest.strip()
    if kind.lower() == "token":
        return await _by_token(database, rest)
    if kind.lower() == "basic":
        return await _by_password(database, rest)
    return None


async def _by_token(database: Database, token: str) -> Account:
    if not token:
        raise RefusalError(403, "Invalid token header. No credentials provided.")
    if " " in token:
        raise RefusalError(403, "Invalid token header. Token string should not contain spaces.")
    found = None
    if len(token) <= LONGEST and token.isascii() and "\0" not in token:
        async with database.transaction() as connection:
            found = await accounts.by_token(connection, token)
    if found is None:
        raise RefusalError(403, "Invalid token.")
    return found


async def _by_password(database: Database, said: str) -> Account:
    try:
        username, mark, password = base64.b64decode(said, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        raise RefusalError(403, "Invalid basic header. Credentials not correctly base64 encoded.") from None
    if not mark or len(said) > LONGEST or "\0" in username:
        raise RefusalError(403, "Invalid username/password.")
    async with database.transaction() as connection:
        found = await accounts.by_name(connection, username)
    account, kept = found or (None, None)
    # In a thread: it is meant to be slow.
    right = await asyncio.to_thread(accounts.check_password, password, kept)
    if account is None or not right:
        raise RefusalError(403, "Invalid username/password.")
    return account
