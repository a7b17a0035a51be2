"""Who may log in, with which tokens, and who maintains what."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import InputError

TOKEN_DIGITS = 40
# scrypt's cost: 16 MiB and some 50 ms for each try (RFC 7914 section 2 names the parameters).
COST, BLOCK, PARALLEL = 2**14, 8, 1


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may log in."""

    id: int
    username: str
    maintains: frozenset[int]  # ids of lists


@dataclass(frozen=True, slots=True)
class User:
    """An account for people to look at."""

    username: str
    first_name: str
    last_name: str
    email: str
    active: bool
    maintains: tuple[str, ...]  # list ids


@dataclass(frozen=True, slots=True)
class Token:
    """A token for people to look at: nobody can see the token itself again."""

    id: int
    username: str
    note: str
    created_at: datetime
    revoked_at: datetime | None


_ACCOUNT = """
    SELECT a.id, a.username, a.password,
           ARRAY(SELECT m.list FROM ingestd.maintainer m WHERE m.account = a.id) AS maintains
    FROM ingestd.account a
"""


def _digest(token: str) -> bytes:
    """What is kept of a token. It is as random as its digest is long: nothing is gained by a slower one."""
    return hashlib.sha256(token.encode()).digest()


async def by_token(connection: AsyncConnection, token: str) -> Account | None:
    """Whose token this is; None for one that never was, was revoked, or whose user may not log in any more.

    The look-up is by digest, which whoever guesses cannot steer.
    """
    found = await connection.execute(
        text(
            _ACCOUNT
            + "JOIN ingestd.token t ON t.account = a.id WHERE t.digest = :digest AND t.revoked_at IS NULL AND a.active"
        ),
        {"digest": _digest(token)},
    )
    row = found.one_or_none()
    return None if row is None else Account(row.id, row.username, frozenset(row.maintains))


async def by_name(connection: AsyncConnection, username: str) -> tuple[Account, str | None] | None:
    """An account that may log in, and what is kept of its password."""
    found = await connection.execute(
        text(_ACCOUNT + "WHERE a.username = :username AND a.active"), {"username": username}
    )
    row = found.one_or_none()
    return None if row is None else (Account(row.id, row.username, frozenset(row.maintains)), row.password)


def hash_password(password: str) -> str:
    """What is kept of a password."""
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${_scrypt(password, salt).hex()}"


def check_password(password: str, kept: str | None) -> bool:
    """Whether it is the password. Takes as long where none is kept."""
    _, salt, digest = (kept or f"scrypt${'00' * 16}${'00' * 32}").split("$")
    right = hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)), bytes.fromhex(digest))
    return right and kept is not None


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "surrogateescape"), salt=salt, n=COST, r=BLOCK, p=PARALLEL, dklen=32)


async def account_id(connection: AsyncConnection, username: str) -> int:
    """The id of a user. InputError when there is none of the name."""
    found = await connection.scalar(
        text("SELECT id FROM ingestd.account WHERE username = :username"), {"username": username}
    )
    if found is None:
        raise InputError(f"{username}: no such user")
    return int(found)


async def create_user(connection: AsyncConnection, username: str, **rest: str | None) -> None:
    """Add a user: `first_name`, `last_name`, `email`, `password` as kept. InputError when the name is taken."""
    if not username or not username.isprintable() or any(letter in username for letter in "/:<> \t"):
        raise InputError(f"{username!r}: not fit for a user name")
    row = {"first_name": "", "last_name": "", "email": "", "password": None, **rest, "username": username}
    made = await connection.execute(
        text("""
            INSERT INTO ingestd.account (username, first_name, last_name, email, password)
            VALUES (:username, :first_name, :last_name, :email, :password)
            ON CONFLICT (username) DO NOTHING
        """),
        row,
    )
    if made.rowcount == 0:
        raise InputError(f"{username}: there is such a user already")


async def change_user(connection: AsyncConnection, username: str, **changes: Any) -> None:  # noqa: ANN401 - columns
    """Change `first_name`, `last_name`, `email`, `password` or `active` of a user."""
    id_ = await account_id(connection, username)
    for column in ("first_name", "last_name", "email", "password", "active"):
        if column in changes:
            await connection.execute(
                text(f"UPDATE ingestd.account SET {column} = :value WHERE id = :id"),
                {"value": changes[column], "id": id_},
            )


async def users(connection: AsyncConnection) -> list[User]:
    """Every user, by name."""
    found = await connection.execute(
        text("""
            SELECT a.username, a.first_name, a.last_name, a.email, a.active,
                   ARRAY(
                       SELECT l.list_id
                       FROM ingestd.maintainer m
                       JOIN ingestd.list l ON l.id = m.list
                       WHERE m.account = a.id
                       ORDER BY l.list_id COLLATE "C"
                   ) AS maintains
            FROM ingestd.account a
            ORDER BY a.username COLLATE "C"
        """)
    )
    return [
        User(row.username, row.first_name, row.last_name, row.email, row.active, tuple(row.maintains)) for row in found
    ]


async def create_token(connection: AsyncConnection, username: str, note: str) -> str:
    """A new token of a user, which nobody can see again."""
    token = secrets.token_hex(TOKEN_DIGITS // 2)
    await connection.execute(
        text("INSERT INTO ingestd.token (account, digest, note) VALUES (:account, :digest, :note)"),
        {"account": await account_id(connection, username), "digest": _digest(token), "note": note},
    )
    return token


async def tokens(connection: AsyncConnection) -> list[Token]:
    """Every token there was, oldest first."""
    found = await connection.execute(
        text("""
            SELECT t.id, a.username, t.note, t.created_at, t.revoked_at
            FROM ingestd.token t
            JOIN ingestd.account a ON a.id = t.account
            ORDER BY t.id
        """)
    )
    return [Token(*row) for row in found]


async def revoke_tokens(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """Let tokens be worth nothing. InputError when there is none of an id."""
    for id_ in ids:
        done = await connection.execute(
            text("""
                UPDATE ingestd.token SET revoked_at = coalesce(revoked_at, transaction_timestamp()) WHERE id = :id
            """),
            {"id": id_},
        )
        if done.rowcount == 0:
            raise InputError(f"{id_}: no such token")


async def set_maintainer(connection: AsyncConnection, username: str, list_id: str, *, maintains: bool) -> None:
    """Let a user be a maintainer of a list, or not any more. InputError when there is no such user or list."""
    account = await account_id(connection, username)
    list_ = await connection.scalar(
        text("SELECT id FROM ingestd.list WHERE list_id = :list_id"), {"list_id": list_id.lower()}
    )
    if list_ is None:
        raise InputError(f"{list_id}: no such list")
    statement = (
        "INSERT INTO ingestd.maintainer (account, list) VALUES (:account, :list) ON CONFLICT DO NOTHING"
        if maintains
        else "DELETE FROM ingestd.maintainer WHERE account = :account AND list = :list"
    )
    await connection.execute(text(statement), {"account": account, "list": list_})
