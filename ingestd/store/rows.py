"""How a mail becomes rows: one function a table, plain dictionaries out."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Table, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.mail import Mail
from ingestd.store import schema

Row = dict[str, Any]


def identity(message_id: str, content_key: str) -> bytes:
    """What a mail is on its list, in 32 bytes for the index."""
    return hashlib.sha256(f"{message_id}\n{content_key}".encode()).digest()


def message(mail: Mail) -> Row:
    """The columns of `message` that the mail alone decides."""
    subject = mail.subject
    return {
        "mail_sha256": mail.mail_sha256,
        "munged": mail.munged,
        "parser_version": mail.parser_version,
        "kind": str(mail.kind),
        "kind_reason": mail.kind_reason,
        "subject": subject.text,
        "name": subject.name,
        "title": subject.title,
        "prefixes": list(subject.prefixes),
        "tags": list(subject.tags),
        "number": subject.number,
        "total": subject.total,
        "version": subject.version,
        "version_written": subject.version_written,
        "reroll": subject.reroll,
        "reply": subject.reply,
        "resend": subject.resend,
        "rfc": subject.rfc,
        "date": mail.date,
        "date_text": mail.date_text,
        "author_name": mail.author.name,
        "author_email": mail.author.email,
        "author_evidence": mail.author_evidence,
        "sender_name": mail.sender.name,
        "sender_email": mail.sender.email,
        "submitter_name": mail.submitter.name,
        "submitter_email": mail.submitter.email,
        "in_reply_to": list(mail.in_reply_to),
        "references": list(mail.references),
        "former_ids": list(mail.former_ids),
        "headers": [list(header) for header in mail.headers],
        "content": mail.content,
        "charset": mail.charset,
        "lossy": mail.lossy,
        "defects": list(mail.defects),
    }


def patch(mail: Mail, message_id: int) -> list[Row]:
    """The row of `patch`, where the mail has anything for it."""
    row = {
        "diff": mail.diff,
        "hash": mail.hash,
        "patch_id": mail.patch_id,
        "pull_url": mail.pull_url,
        "base_commit": mail.base_commit,
        "change_id": mail.change_id,
    }
    return [{"message": message_id, **row}] if any(value is not None for value in row.values()) else []


def files(mail: Mail, message_id: int) -> list[Row]:
    """The rows of `file`."""
    return [
        {
            "message": message_id,
            "position": position,
            "path": file.path,
            "old_path": file.old_path,
            "change": str(file.change),
            "added": file.added,
            "removed": file.removed,
            "binary": file.binary,
            "old_blob": file.old_blob,
            "new_blob": file.new_blob,
        }
        for position, file in enumerate(mail.files)
    ]


def trailers(mail: Mail, message_id: int) -> list[Row]:
    """The rows of `trailer`."""
    return [
        {
            "message": message_id,
            "position": position,
            "name": trailer.name,
            "value": trailer.value,
            "person_name": trailer.person_name,
            "person_email": trailer.person_email,
        }
        for position, trailer in enumerate(mail.trailers)
    ]


def links(mail: Mail, message_id: int) -> list[Row]:
    """The rows of `link`."""
    return [
        {"message": message_id, "position": position, "type": link.type, "target": link.target}
        for position, link in enumerate(mail.links)
    ]


def parts(mails: Mapping[int, Mail]) -> dict[Table, list[Row]]:
    """Message id -> mail, as the rows of every table that hangs on `message`."""
    made: dict[Table, list[Row]] = {schema.patch: [], schema.file: [], schema.trailer: [], schema.link: []}
    for message_id, mail in mails.items():
        made[schema.patch] += patch(mail, message_id)
        made[schema.file] += files(mail, message_id)
        made[schema.trailer] += trailers(mail, message_id)
        made[schema.link] += links(mail, message_id)
    return made


async def add(connection: AsyncConnection, table: Table, rows: Iterable[Row]) -> None:
    """Insert `rows`, if any."""
    rows = list(rows)
    if rows:
        await connection.execute(insert(table), rows)


async def allocate(connection: AsyncConnection, table: Table, count: int) -> list[int]:
    """`count` new ids of `table`, ascending: known before their rows are, so that rows can name each other."""
    if not count:
        return []
    found = await connection.execute(
        text(f"SELECT nextval(pg_get_serial_sequence('{table.fullname}', 'id')) FROM generate_series(1, :count)"),
        {"count": count},
    )
    return sorted(int(value) for value in found.scalars())


async def unused(connection: AsyncConnection, digests: Collection[bytes]) -> list[bytes]:
    """Those of these bytes that no mail was delivered in.

    Looks through all deliveries, since nothing else asks for them by digest. A person can wait for that.
    """
    found = await connection.execute(
        text("""
            SELECT r.sha256
            FROM ingestd.raw r
            WHERE r.sha256 = ANY (CAST(:digests AS bytea[]))
              AND NOT EXISTS (SELECT FROM ingestd.message m WHERE m.raw_sha256 = r.sha256)
              AND NOT EXISTS (SELECT FROM ingestd.delivery d WHERE d.raw_sha256 = r.sha256)
        """),
        {"digests": list(digests)},
    )
    return list(found.scalars())


async def drop_raw(connection: AsyncConnection, digests: Collection[bytes]) -> None:
    """Delete bytes, as `unused` names them, unless they are in quarantine."""
    await connection.execute(
        text("""
            DELETE FROM ingestd.raw r
            WHERE r.sha256 = ANY (CAST(:digests AS bytea[]))
              AND NOT EXISTS (SELECT FROM ingestd.quarantine q WHERE q.raw_sha256 = r.sha256)
        """),
        {"digests": list(digests)},
    )


async def keep_raw(connection: AsyncConnection, raws: Mapping[bytes, bytes]) -> None:
    """Keep the bytes of each distinct delivery: sha256 -> bytes."""
    there = await connection.execute(
        text("SELECT sha256 FROM ingestd.raw WHERE sha256 = ANY (CAST(:digests AS bytea[]))"),
        {"digests": list(raws)},
    )
    known = set(there.scalars())
    await add(
        connection,
        schema.raw,
        [{"sha256": digest, "size": len(raw), "bytes": raw} for digest, raw in raws.items() if digest not in known],
    )
