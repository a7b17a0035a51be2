"""The API on a fresh database and a real socket, and short ways to ask it."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from end_to_end.repository import Repository
from sqlalchemy import text
from store.conftest import Store

from ingestd.store import migrate
from ingestd.store.api import accounts
from ingestd.store.engine import Database
from ingestd.web import Server, Settings, make
from web.clients import Desk, install
from web.world import World

Json = Any  # what JSON has


@dataclass(frozen=True)
class Reply:
    """What the server answered."""

    status: int
    headers: list[tuple[str, str]]  # as they were on the wire
    body: bytes

    def header(self, name: str) -> str | None:
        """A header, by the exact case of its name."""
        return next((value for known, value in self.headers if known == name), None)

    @property
    def json(self) -> Json:
        return json.loads(self.body)


class Site:
    """A server under test."""

    def __init__(self, store: Store, address: str, database: Database) -> None:
        """`database` is the server's own connection to it."""
        self.store = store
        self.address = address
        self.database = database

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def ask(
        self,
        path: str,
        method: str = "GET",
        *,
        token: str | None = None,
        data: Json = None,
        form: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request: with JSON `data`, a `form`, or any `content`."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Token {token}"
        if data is not None:
            content = json.dumps(data).encode()
            sent["Content-Type"] = "application/json"
        if form is not None:
            content = urlencode(form, doseq=True).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        return await asyncio.to_thread(self._ask, path, method, content, sent)

    def _ask(self, path: str, method: str, content: bytes | None, headers: dict[str, str]) -> Reply:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            return Reply(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    async def get(self, path: str, token: str | None = None) -> Json:
        """The JSON of what must be there."""
        reply = await self.ask(path, token=token)
        assert reply.status == 200, (path, reply)
        return reply.json

    async def change(self, statement: str, **parameters: object) -> None:
        """Run a statement on the database."""
        async with self.store.database.transaction() as connection:
            await connection.execute(text(statement), parameters)

    async def user(self, name: str, *, maintains: str | None = None, **rest: Json) -> str:
        """Add a user, and answer a token of theirs."""
        async with self.store.database.ingest() as connection:
            await accounts.create_user(connection, name, **rest)
            if maintains is not None:
                await accounts.set_maintainer(connection, name, maintains, maintains=True)
            return await accounts.create_token(connection, name, "test")


async def serve(store: Store, settings: Settings, reader: Database | None = None) -> AsyncIterator[Site]:
    """Run a server on a database; `reader`: where it reads, if elsewhere."""
    database = Database(store.database.url)
    server = Server(make(database, reader or database, settings), proxies=("127.0.0.1",))
    server.open(("127.0.0.1", 0))
    task = asyncio.create_task(server.run())
    yield Site(store, server.addresses[0], database)
    await server.stop(task)
    assert task.done()
    await database.close()


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    database = Database(database_url)
    yield Store(database)
    await database.close()


@pytest.fixture
async def site(store: Store) -> AsyncIterator[Site]:
    async for made in serve(store, Settings()):
        yield made


@pytest.fixture
async def closed_site(store: Store) -> AsyncIterator[Site]:
    """One that only those who log in may read, and that takes little."""
    async for made in serve(store, Settings(open_reads=False, largest_body=64 * 1024)):
        yield made


@pytest.fixture
async def behind(empty_database_url: str) -> AsyncIterator[Database]:
    """A replica that is far behind: it has the schema and nothing else."""
    database = Database(empty_database_url)
    await migrate.upgrade(database)
    yield database
    await database.close()


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Patchwork's clients are."""
    return install(tmp_path_factory.mktemp("clients") / "venv")


@pytest.fixture
async def world(site: Site, programs: Path, tmp_path: Path) -> World:
    repository = Repository(tmp_path / "repository")
    repository.commit_three()
    files = repository.format_patch("--thread=shallow", cover=("Say it", "Three times."))
    made = World(site, Desk(programs, tmp_path, repository.directory), repository, repository.tree)
    await made.fill(files)
    made.reset()
    return made
