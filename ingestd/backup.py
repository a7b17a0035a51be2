"""Backup and restore of the embedded database: a directory with a dump and what has to be known of it."""

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingestd.errors import ConfigError, InputError, UnavailableError
from ingestd.postgres import Postgres, archive, attach, programs
from ingestd.store import migrate, upkeep
from ingestd.store.engine import Database

DUMP = "ingestd.dump"
FACTS = "backup.json"
FORMAT = 1
NEEDED = {"postgresql", "schema", "roles", "sha256"}


async def save(directory: Path, bindir: Path | None, target: Path) -> None:
    """Back the embedded database in `directory` up to the new directory `target`, beside a daemon that runs it.

    Whole or not at all: `target` appears at the end. With the programs of the PostgreSQL that made the cluster, where
    they are there: so a backup can still be made when ingestd has come with a newer one.
    """
    found = _major(directory)
    if bindir is None or programs.major(bindir) != found:
        bindir = programs.find_major(found)
    new = _begin(target)
    try:
        async with attach(directory, bindir=bindir) as url:
            database = Database(url)
            try:
                async with database.transaction() as connection:
                    schema = await migrate.current(connection)
                    roles = await upkeep.roles(connection)
            finally:
                await database.close()
            if schema is None:
                raise InputError(f"{directory}: there is no mail in it")
            await archive.dump(url, bindir, new / DUMP)
        await asyncio.to_thread(_end, new, target, {"postgresql": found, "schema": schema, "roles": roles})
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _begin(target: Path) -> Path:
    """Make the directory that becomes `target`. InputError where there is one already."""
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"{target}: there is something already; a backup makes a directory of its own")
        new = target.with_name(f"{target.name}.part")
        shutil.rmtree(new, ignore_errors=True)  # of a backup that was killed
        new.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise UnavailableError(f"{target}: {error.strerror}") from error
    return new


def _end(new: Path, target: Path, facts: Mapping[str, Any]) -> None:
    """Write down what a backup is, and give it its name once all of it is on the disk."""
    dump = new / DUMP
    facts = {
        "format": FORMAT,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
        "size": dump.stat().st_size,
        "sha256": _digest(dump),
    }
    try:
        (new / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        for path in (dump, new / FACTS, new):
            _sync(path)
        new.rename(target)
        _sync(target.absolute().parent)
    except OSError as error:
        raise UnavailableError(f"{target}: {error.strerror}") from error


async def load(source: Path, directory: Path, bindir: Path | None) -> str:
    """Restore a backup into the embedded database in `directory`, which must be empty; answer its schema version.

    Whole or not at all: stopped on the way, the database is as empty as before.
    """
    facts = await asyncio.to_thread(_read, source)
    bindir = programs.find_binaries(bindir)
    ours = programs.major(bindir)
    if facts["postgresql"] > ours:
        theirs = facts["postgresql"]
        raise ConfigError(
            f"{source}: a backup of PostgreSQL {theirs}, but the programs in {bindir} are PostgreSQL {ours}"
        )
    if facts["schema"] > migrate.head():
        raise ConfigError(f"{source}: schema {facts['schema']} is newer than {migrate.head()}, the newest we know")
    server = Postgres(directory, bindir=bindir)
    await server.start(patience=0)
    try:
        restore = archive.Restore(server, bindir)
        await restore.begin(facts["roles"])
        await restore.load(source / DUMP, "pre-data")
        # Before the data, so that it is stored as this server does best.
        await restore.run(upkeep.COMPRESSION)
        await restore.load(source / DUMP, "data")
        await restore.load(source / DUMP, "post-data")
        await restore.run("ANALYZE")
        await restore.end()
    finally:
        await server.stop()
    return str(facts["schema"])


def _major(directory: Path) -> int:
    """The major version of the cluster in `directory`. InputError where there is none."""
    try:
        return int((directory / "postgres/PG_VERSION").read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise InputError(f"{directory}: there is no embedded database") from None


def _read(source: Path) -> Mapping[str, Any]:
    """What a backup says of itself, once its dump is found to be what was written. InputError otherwise."""
    try:
        facts = json.loads((source / FACTS).read_text(encoding="utf-8"))
        digest = _digest(source / DUMP)
    except FileNotFoundError:
        raise InputError(f"{source}: no backup of ingestd: it has {FACTS} and {DUMP}") from None
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}") from error
    except ValueError:
        raise InputError(f"{source / FACTS}: cannot be read") from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT or not facts.keys() >= NEEDED:
        raise InputError(f"{source / FACTS}: not of a kind that this ingestd knows")
    if facts["sha256"] != digest:
        raise InputError(f"{source / DUMP}: damaged: not the bytes that were backed up")
    return facts


def _digest(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
