"""The connection to PostgreSQL: its URL, the pool, the ingest lock, and what each failure means."""

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ingestd.config import mask_url
from ingestd.errors import ConfigError, IngestdError, Temporary, UnavailableError

Connection = AsyncConnection  # what others may hold, who know no SQL

# A 250 must survive a crash, whatever the server's default says, and whatever becomes of it while we are connected; a
# stronger setting stays. Said outside a transaction: one that is rolled back would take it along.
PIN_DURABILITY = """
    SELECT set_config('synchronous_commit', CASE
        WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN 'on'
        ELSE current_setting('synchronous_commit')
    END, false)
"""
READ_ONLY = "25006"  # SQLSTATE read_only_sql_transaction

# SQLSTATEs (beside class 08) of what passes at once: races, a server that stops or starts, one that is no primary any
# more, and 0A000, which a statement says whose table a migration has changed under it ("cached plan is invalid").
_PASSING = {"0A000", "40001", "40P01", "57P01", "57P02", "57P03", READ_ONLY}

# Any number, as long as every ingestd uses the same. Spells "ingest".
INGEST_LOCK = 0x696E67657374

OLDEST_SERVER = 150000


class Fault(Enum):
    """What a failed transaction means for the mails in it."""

    RETRY = "retry"  # the connection or a race: the same batch may pass at once
    DATA = "data"  # the server refused the data of some mail
    OURS = "ours"  # the server refused what no mail should make us say: some mail does, but it is not to blame
    TEMPORARY = "temporary"  # the server cannot take anything now


class UncertainCommitError(IngestdError):
    """The server reports a commit that may not survive, such as one that the standby has not got."""


def check_url(url: str) -> str:
    """`url` when it is one for PostgreSQL, in libpq's form (several hosts, sslmode and the rest), else ConfigError."""
    scheme, mark, _ = url.partition("://")
    if not mark or scheme not in {"postgresql", "postgres"}:
        raise ConfigError("database.url: expected postgresql://...")
    return url


class Database:
    """A pool of connections to one database."""

    def __init__(self, url: str, *, pool_size: int = 5, timeout: float = 30.0) -> None:
        """`timeout`: seconds that connecting and a whole transaction may take each."""
        self.url = check_url(url)
        self.timeout = timeout
        self._warnings: weakref.WeakKeyDictionary[object, str] = weakref.WeakKeyDictionary()  # the last, by connection
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            hide_parameters=True,  # they are mail, which is nothing for logs
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=timeout,
            pool_pre_ping=True,
            json_serializer=lambda value: msgspec.json.encode(value).decode(),
            json_deserializer=msgspec.json.decode,
        )

    async def _connect(self) -> Any:  # noqa: ANN401 - the driver has no types
        """Connect as asyncpg reads the URL: it knows what libpq knows. ConfigError when it cannot be read."""
        try:
            connection = await asyncpg.connect(
                self.url, timeout=self.timeout, server_settings={"application_name": "ingestd"}
            )
        except asyncpg.ClientConfigurationError as error:
            raise ConfigError(f"database.url: {error}") from error
        except (ValueError, TypeError) as error:
            # What the driver says quotes the URL, and with it parts of a password.
            raise ConfigError("database.url: cannot be read; write special characters of a password as %XX") from error
        try:
            await connection.execute(PIN_DURABILITY, timeout=self.timeout)
        except BaseException:
            connection.terminate()
            raise
        connection.add_log_listener(self._note)
        return connection

    def _note(self, connection: object, message: Any) -> None:  # noqa: ANN401 - the driver's own message
        if message.severity_en == "WARNING":
            self._warnings[connection] = str(message.message)

    async def _commit(self, connection: AsyncConnection) -> None:
        """Commit; UncertainCommitError where the server warns.

        A commit whose wait for the synchronous standby is cancelled is reported as done, with a warning: it is
        committed on the primary alone, which may be lost.
        """
        raw = (await connection.get_raw_connection()).driver_connection
        self._warnings.pop(raw, None)
        await connection.commit()
        await asyncio.sleep(0)  # the driver tells of a warning by way of the event loop
        if warning := self._warnings.pop(raw, None):
            raise UncertainCommitError(f"warning at the commit: {warning}")

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits at the end. TimeoutError when it takes longer than `timeout`."""
        async with asyncio.timeout(self.timeout):
            connection = await self.engine.connect()
            ended = False
            try:
                await connection.begin()
                yield connection
                await self._commit(connection)
                ended = True
            except Exception as error:
                await connection.rollback()
                ended = True
                if sqlstate(error) == READ_ONLY:  # the next one may find another server, by the hosts of the URL
                    await connection.invalidate()
                raise
            finally:
                try:
                    if not ended:
                        await _abandon(connection)
                finally:
                    await connection.close()

    @asynccontextmanager
    async def ingest(self, waits: Callable[[], None] | None = None) -> AsyncIterator[AsyncConnection]:
        """A transaction that holds the ingest lock: one writer at a time, so nothing races or deadlocks.

        The lock is the first statement, alone: under READ COMMITTED what follows sees all that the last holder wrote.
        Who waits gets it in the order of asking. `waits` is called when somebody else has it, or is before us.
        """
        async with self.transaction() as connection:
            lock = {"lock": INGEST_LOCK}
            free = waits and await connection.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), lock)
            if not free:
                if waits:
                    waits()
                await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), lock)
            yield connection

    @asynccontextmanager
    async def bell(self) -> AsyncIterator["Bell"]:
        """What rings at each commit that wrote events, on a connection of its own."""
        connection = await self._connect()
        try:
            bell = Bell(connection, self.timeout)
            await connection.add_listener("ingestd", bell.ring)
            yield bell
        finally:
            connection.terminate()

    @property
    def pool(self) -> dict[str, int]:
        """Connections by state."""
        pool = self.engine.pool
        return {"idle": pool.checkedin(), "used": pool.checkedout()}  # type: ignore[attr-defined] # it is a queue pool

    async def ping(self) -> None:
        """Check that a mail could be stored now. UnavailableError with the reason when not."""
        try:
            async with self.transaction() as connection:
                read_only = await connection.scalar(text("SHOW transaction_read_only"))
        except FAILURES as error:
            raise UnavailableError(f"database {self.name}: {reason(error)}") from error
        if read_only == "on":
            raise UnavailableError(f"database {self.name}: read-only")

    async def check_server(self) -> None:
        """ConfigError when the server is older than we support."""
        async with self.transaction() as connection:
            number = int(await connection.scalar(text("SHOW server_version_num")))
        if number < OLDEST_SERVER:
            found, oldest = number // 10000, OLDEST_SERVER // 10000
            raise ConfigError(f"database {self.name}: PostgreSQL {found} is too old, ingestd needs {oldest} or newer")

    @property
    def name(self) -> str:
        """The URL as it may be shown to people: without password."""
        return mask_url(self.url)


class Bell:
    """Rings for who waits; ConnectionError once it cannot ring any more."""

    def __init__(self, connection: Any, timeout: float) -> None:  # noqa: ANN401 - the driver has no types
        """`timeout`: seconds that the connection may take to show that it is alive."""
        self._connection = connection
        self._timeout = timeout
        self._rung = asyncio.Event()
        connection.add_termination_listener(self.ring)

    def ring(self, *_: object) -> None:
        """Wake who waits. The driver says what rang, which is nothing to us."""
        self._rung.set()

    def clear(self) -> None:
        """Forget what rang."""
        self._rung.clear()

    async def wait(self, patience: float) -> None:
        """Wait until it rings, for `patience` seconds at most."""
        try:
            async with asyncio.timeout(patience):
                await self._rung.wait()
        except TimeoutError:
            await self._connection.execute("SELECT 1", timeout=self._timeout)
        if self._connection.is_closed():
            raise ConnectionResetError("the connection that listens was lost")


async def _abandon(connection: AsyncConnection) -> None:
    """Cut a connection in the middle of a transaction: a server that hangs would not answer a rollback either."""
    if connection.invalidated:  # a statement that was cancelled has done it
        return
    raw = await connection.get_raw_connection()
    if raw.driver_connection is not None:
        raw.driver_connection.terminate()
    await connection.invalidate()


# What a database operation may raise when the database, and not our code, is at fault.
FAILURES = (
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # no host of a URL with several is a primary now
    OSError,
    TimeoutError,
    UncertainCommitError,
)


def sqlstate(error: BaseException) -> str | None:
    """The five-character SQLSTATE of a failed statement, if the server sent one."""
    state = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None)
    return state if isinstance(state, str) else None


def judge(error: BaseException) -> Fault:
    """Say what a failed batch means (architecture.md section 3)."""
    state = sqlstate(error)
    if state is not None:
        if state.startswith(("22", "54")):
            return Fault.DATA
        if state.startswith("08") or state in _PASSING:
            return Fault.RETRY
        return Fault.OURS if state.startswith(("21", "23", "42", "P0", "XX")) else Fault.TEMPORARY
    if isinstance(error, DBAPIError):
        cause = error.orig.__cause__ if error.orig is not None else None
        # asyncpg refuses what it cannot encode (a lone surrogate, a number out of range) before it is sent.
        if _is_encoding(cause):
            return Fault.DATA
        if error.connection_invalidated or isinstance(error, InterfaceError):
            return Fault.RETRY
        return Fault.TEMPORARY
    if isinstance(error, ConnectionError):
        return Fault.RETRY
    if isinstance(error, UnicodeEncodeError | OverflowError):
        return Fault.DATA
    return Fault.TEMPORARY


def is_hidden(error: BaseException) -> bool:
    """Whether a look at the database would not find this fault, though mail cannot be stored: a full disk, a standby.

    That nobody answers, or a server that stops, starts or is read-only, is seen; and it is over once it is seen to be.
    """
    if isinstance(error, TimeoutError | UncertainCommitError):
        return True
    return sqlstate(error) is not None and judge(error) is Fault.TEMPORARY


def _is_encoding(cause: BaseException | None) -> bool:
    return type(cause).__name__ == "DataError" or isinstance(cause, UnicodeEncodeError | OverflowError)


def reason(error: BaseException) -> str:
    """One line for people and logs: what failed, without SQL and parameters."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig.__cause__ or error.orig
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text_ = str(error).strip().splitlines()
    return text_[0] if text_ else type(error).__name__


def temporary(error: BaseException) -> Temporary:
    """The Temporary a mail server hears for `error`; its text is for the log."""
    return Temporary(reason(error))
