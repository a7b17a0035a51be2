#!/usr/bin/env python3
"""Fill a database with patches and time what the API's clients ask, beside the same answers in SQL alone.

usage: ./dev bench api [--patches 1000000] [--requests 40] [--keep DIR]

The database is made by SQL in minutes, in DIR (default: a directory that goes again), with the embedded PostgreSQL.
For each request, in milliseconds: the first time, when nothing is known yet; then p50 and p95 of the whole answer over
HTTP, and of its queries alone, each time after something has happened.
"""

import argparse
import asyncio
import contextlib
import http.client
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from sqlalchemy import event, text  # noqa: E402 - runs from a checkout that is not installed

from ingestd.postgres import Postgres  # noqa: E402
from ingestd.store import migrate  # noqa: E402
from ingestd.store.api import accounts  # noqa: E402
from ingestd.store.engine import Database  # noqa: E402
from ingestd.web import Server, Settings, make  # noqa: E402

PER_SERIES = 5  # patches; each series has a cover as well, and each patch half a reply
PROJECTS = 10
PEOPLE = 20_000

MAKE = f"""
SET synchronous_commit = off;
INSERT INTO ingestd.list (list_id, name)
SELECT 'list' || n || '.example.org', 'List ' || n FROM generate_series(1, {PROJECTS}) n;
INSERT INTO ingestd.person (email, name, named_at)
SELECT 'person' || n || '@example.org', 'Person ' || n, now() FROM generate_series(1, {PEOPLE}) n;
ALTER TABLE ingestd.message DISABLE TRIGGER USER;
ALTER TABLE ingestd.series DISABLE TRIGGER USER;
ALTER TABLE ingestd.patch DISABLE TRIGGER USER;
INSERT INTO ingestd.raw (sha256, size, bytes) VALUES ('\\x00', 1, '\\x00');
-- One thread a series. Mails of a series have ids side by side: cover, patches, replies.
INSERT INTO ingestd.thread (id, list, grouping_version)
SELECT n, n % {PROJECTS} + 1, 1 FROM generate_series(1, :series) n;
INSERT INTO ingestd.message (
    id, list, message_id, content_key, identity, key, raw_sha256, mail_sha256, munged, received_at, parser_version,
    thread, parent, about, kind, kind_reason, subject, name, title, prefixes, tags, number, total, version,
    version_written, reply, resend, rfc, date, author_name, author_email, author_evidence, sender_name, sender_email,
    submitter_name, submitter_email, in_reply_to, "references", former_ids, headers, content, lossy, defects, submitter
)
SELECT id, n % {PROJECTS} + 1, 'm' || id || '@example.org', 'k' || id, sha256(int8send(id)),
       'm' || id || '@example.org', '\\x00', 'x', false, at, 1, n,
       CASE WHEN place = 0 THEN NULL ELSE first END,
       CASE WHEN place <= {PER_SERIES} THEN id ELSE first + place - {PER_SERIES} END,
       CASE WHEN place = 0 THEN 'cover' WHEN place <= {PER_SERIES} THEN 'patch' ELSE 'reply' END, 'made',
       'a subject', format('[%s/{PER_SERIES}] subsystem%s: do the thing number %s', place, n % 997, id), 'title',
       '{{}}', '{{PATCH}}', place, {PER_SERIES}, 1, false, place > {PER_SERIES}, false, false, at, 'Person',
       'p@example.org',
       'from', 'Person', 'p@example.org', 'Person ' || person, 'person' || person || '@example.org', '{{}}', '{{}}',
       '{{}}',
       jsonb_build_array(jsonb_build_array('From', 'person'), jsonb_build_array('Subject', 'a subject'),
                         jsonb_build_array('Received', repeat('hop ', 200))),
       repeat('Some text of a commit message. ', 20), false, '{{}}', person
FROM (
    SELECT n, place, (n - 1) * {PER_SERIES + 1 + PER_SERIES // 2} + 1 AS first,
           (n - 1) * {PER_SERIES + 1 + PER_SERIES // 2} + 1 + place AS id,
           timestamptz '2010-01-01' + n * interval '40 minutes' + place * interval '1 second' AS at,
           n * 7919 % {PEOPLE} + 1 AS person
    FROM generate_series(1, :series) n, generate_series(0, {PER_SERIES + PER_SERIES // 2}) place
) made;
INSERT INTO ingestd.patch (message, diff, hash, patch_id)
SELECT id, repeat('+a line of a diff' || chr(10), 60), encode(sha256(int8send(id)), 'hex'),
       encode(sha256(int8send(id)), 'hex')
FROM ingestd.message WHERE kind = 'patch';
INSERT INTO ingestd.series (
    id, list, thread, key, name, kind, version, version_inferred, total, received, complete, announced, cover,
    author_name, author_email, date, supersedes_ids, submitter
)
SELECT m.thread, m.list, m.thread, m.key, 'subsystem: do the things of ' || m.thread, 'series', 1, false, {PER_SERIES},
       {PER_SERIES}, true, true, m.id, m.submitter_name, m.submitter_email, m.date, '{{}}', m.submitter
FROM ingestd.message m WHERE m.kind = 'cover';
INSERT INTO ingestd.series_patch (series, number, message, role, posted_in)
SELECT thread, number, id, 'posted', thread FROM ingestd.message WHERE kind = 'patch';
-- One patch in twenty is still to be looked at.
INSERT INTO ingestd.triage (message, list, listed, name, date, submitter, state, archived)
SELECT id, list, true, name, date, submitter,
       CASE WHEN id > :recent THEN 'new' WHEN id % 3 = 0 THEN 'superseded' ELSE 'accepted' END,
       id % 5 = 0 AND id <= :recent
FROM ingestd.message WHERE kind = 'patch';
INSERT INTO ingestd.event (cursor, at, category, list, message, series, payload)
SELECT row_number() OVER (ORDER BY id, category), date,
       category, list, CASE WHEN category LIKE 'series%%' THEN NULL ELSE id END,
       CASE WHEN category IN ('series-completed', 'patch-completed') THEN thread END, '{{}}'
FROM ingestd.message,
     unnest(CASE kind WHEN 'patch' THEN ARRAY['message-created', 'patch-created', 'patch-completed']
                      WHEN 'cover' THEN ARRAY['message-created', 'cover-created', 'series-completed']
                      ELSE ARRAY['message-created'] END) category;
UPDATE ingestd.counter SET value = (SELECT max(cursor) FROM ingestd.event) WHERE name = 'event';
SELECT setval(pg_get_serial_sequence('ingestd.message', 'id'), (SELECT max(id) FROM ingestd.message));
SELECT setval(pg_get_serial_sequence('ingestd.thread', 'id'), (SELECT max(id) FROM ingestd.thread));
SELECT setval(pg_get_serial_sequence('ingestd.series', 'id'), (SELECT max(id) FROM ingestd.series));
ALTER TABLE ingestd.message ENABLE TRIGGER USER;
ALTER TABLE ingestd.series ENABLE TRIGGER USER;
ALTER TABLE ingestd.patch ENABLE TRIGGER USER;
"""

OPEN = "project=list3&state=new&state=under-review&archived=false&order=-date"
REQUESTS = {
    "patches": "/api/1.2/patches/",
    "patches of a project": "/api/1.2/patches/?project=list3",
    "git-pw patch list": f"/api/1.2/patches/?{OPEN}&page=1&per_page=30",
    "git-pw patch list NAME": f"/api/1.2/patches/?{OPEN}&q=subsystem42",
    "q without a project": "/api/1.2/patches/?q=number+12345",
    "pwclient list": "/api/patches/?state=new&project=list3&archived=False",
    "b4: count": f"/api/1.2/patches?{OPEN}&per_page=1",
    "b4: 250": f"/api/1.2/patches?{OPEN}&per_page=250",
    "b4: by Message-ID": "/api/1.2/patches?project=list3&archived=false&msgid=m{patch}@example.org",
    "by hash": "/api/1.2/patches/?hash=00",
    "by submitter": "/api/1.2/patches/?submitter=person77@example.org",
    "the middle page": "/api/1.2/patches/?page={middle}",
    "the page after it": "/api/1.2/patches/?page={after}",
    "the last page": "/api/1.2/patches/?page=last",
    "newest version, 250": "/api/1.4/patches/?per_page=250",
    "a patch": "/api/1.2/patches/{patch}/",
    "covers": "/api/1.2/covers/",
    "covers of a project": "/api/1.2/covers/?project=list3&order=-date",
    "series": "/api/1.2/series/",
    "git-pw series list": "/api/1.2/series/?order=-date&project=list3",
    "snowpatch": "/api/1.2/series?order=-id&per_page=50&project=list3",
    "events": "/api/1.2/events/",
    "pwclient event-list": "/api/events/?project=list3&category=series-completed&since=2024-01-01",
    "events after": "/api/1.2/events/?after={event}",
    "people": "/api/1.2/people/",
    "people by name": "/api/1.2/people/?q=Person+1234",
    "users": "/api/1.2/users/",
    "projects": "/api/1.2/projects/",
    "bundles": "/api/1.2/bundles/",
    "comments": "/api/1.2/patches/{patch}/comments/",
    "checks": "/api/1.2/patches/{patch}/checks/",
    "the mbox of a series": "/series/{series}/mbox/",
    "b4: search by diff": "/{list}/?x=m&t=1&q=patchid:{patch_id}",
    "search by either": "/{list}/?x=m&t=1&q=patchid:{patch_id}+OR+(s:subject+AND+f:{author})+OR+%22change-id:+x%22",
    "b4: search by author": "/{list}/?x=m&t=1&q=(s:%22a+subject%22+AND+f:%22{author}%22)+AND+d:20100101..",
}


async def main() -> None:
    """Make the database, ask, print."""
    parser = argparse.ArgumentParser(usage=(__doc__ or "").split("usage: ")[1].splitlines()[0])
    parser.add_argument("--patches", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    directory = arguments.keep or Path(tempfile.mkdtemp(prefix="ingestd-api-"))
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)
    server = Postgres(directory, settings={"fsync": "off", "shared_buffers": "512MB", "max_wal_size": "8GB"})
    await server.start()
    try:
        database = Database(server.url, timeout=3600)
        await fill(database, arguments.patches)
        await measure(database, arguments.requests)
        await database.close()
    finally:
        await server.stop()
        if arguments.keep is None:
            shutil.rmtree(directory)


async def fill(database: Database, patches: int) -> None:
    """The schema and the rows, unless they are there."""
    await migrate.upgrade(database)
    async with database.transaction() as connection:
        if await connection.scalar(text("SELECT count(*) FROM ingestd.list")):
            return
    started = time.perf_counter()
    series = patches // PER_SERIES
    mails = series * (PER_SERIES + 1 + PER_SERIES // 2)
    async with database.transaction() as connection:
        await accounts.create_user(connection, "bench")
        driver = (await connection.get_raw_connection()).driver_connection
        if driver is None:
            raise SystemExit("no connection")
        recent = mails - mails // 20
        await driver.execute(MAKE.replace(":series", str(series)).replace(":recent", str(recent)).replace("%%", "%"))
    async with database.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE"))
    print(f"made {patches} patches in {mails} mails in {time.perf_counter() - started:.0f} s")


async def measure(database: Database, requests: int) -> None:
    """Ask each request again and again, as if something had happened since: so nothing is remembered."""
    async with database.ingest() as connection:
        token = await accounts.create_token(connection, "bench", "bench")
        patch = await connection.scalar(text("SELECT max(message) FROM ingestd.triage"))
        count = await connection.scalar(text("SELECT count(*) FROM ingestd.triage"))
        last = await connection.scalar(text("SELECT max(cursor) FROM ingestd.event"))
        found = await connection.execute(
            text(
                "SELECT p.patch_id, l.list_id AS list, m.thread AS series, m.submitter_email AS author"
                " FROM ingestd.message m JOIN ingestd.patch p ON p.message = m.id"
                " JOIN ingestd.list l ON l.id = m.list WHERE m.id = :patch"
            ),
            {"patch": patch},
        )
        one = found.mappings().one()
    spent: list[float] = []
    watch(database, spent)
    server = Server(make(database, database, Settings()))
    server.open(("127.0.0.1", 0))
    task = asyncio.create_task(server.run())
    where = {"patch": patch, "middle": count // 60, "after": count // 60 + 1, "event": last - 5000, **one}
    print(f"{'request':26} {'first':>8} {'p50':>8} {'p95':>8}   {'SQL p50':>8} {'SQL p95':>8}  queries  (ms)")
    for name, path in REQUESTS.items():
        whole, inside, queries = [], [], 0
        first = await asyncio.to_thread(ask, server.addresses[0], path.format(**where), token)
        for _ in range(requests):
            async with database.transaction() as connection:
                await connection.execute(text("UPDATE ingestd.counter SET value = value + 1 WHERE name = 'event'"))
            spent.clear()
            whole.append(await asyncio.to_thread(ask, server.addresses[0], path.format(**where), token))
            queries = len(spent)
            inside.append(sum(spent) * 1000)
        times = f"{p(whole, 50):8.1f} {p(whole, 95):8.1f}   {p(inside, 50):8.1f} {p(inside, 95):8.1f}"
        print(f"{name:26} {first:8.1f} {times}  {queries:7}", flush=True)
    await server.stop(task)


def watch(database: Database, spent: list[float]) -> None:
    """Note the seconds of each statement."""

    def before(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:  # noqa: ANN401
        context.started = time.perf_counter()

    def after(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:  # noqa: ANN401
        spent.append(time.perf_counter() - context.started)

    event.listen(database.engine.sync_engine, "before_cursor_execute", before)
    event.listen(database.engine.sync_engine, "after_cursor_execute", after)


def ask(address: str, path: str, token: str) -> float:
    """Milliseconds of one request."""
    with contextlib.closing(http.client.HTTPConnection(address, timeout=600)) as connection:
        started = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"Token {token}"})
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise SystemExit(f"{path}: {response.status}")
        return (time.perf_counter() - started) * 1000


def p(values: list[float], percent: int) -> float:
    """A percentile."""
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else values[0]


if __name__ == "__main__":
    asyncio.run(main())
