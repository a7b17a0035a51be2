"""The tables, for building queries. `migrations/` makes them; a test compares the two."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

SCHEMA = "ingestd"
metadata = MetaData(schema=SCHEMA)


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(), primary_key=True)


def _ref(
    name: str, target: str, *, nullable: bool = False, primary_key: bool = False, ondelete: str | None = None
) -> Column[int]:
    return Column(
        name,
        BigInteger,
        ForeignKey(f"{SCHEMA}.{target}", ondelete=ondelete),
        nullable=nullable,
        primary_key=primary_key,
        autoincrement=False,
    )


def _required(name: str, type_: type | object) -> Column[object]:
    return Column(name, type_, nullable=False)  # type: ignore[arg-type]


TIME = DateTime(timezone=True)

# What a program must know at least to work on this schema: a revision. One row.
schema_floor = Table("schema_floor", metadata, _required("revision", Text))
Index("schema_floor_one", text("(true)"), unique=True, _table=schema_floor)

counter = Table("counter", metadata, Column("name", Text, primary_key=True), _required("value", BigInteger))

list_ = Table(
    "list",
    metadata,
    _id(),
    _required("list_id", Text),
    Column("name", Text),
    Column("address", Text),
    UniqueConstraint("list_id", name="list_list_id_key"),
)

raw = Table(
    "raw",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    _required("size", Integer),
    _required("bytes", LargeBinary),
)

thread = Table(
    "thread",
    metadata,
    _id(),
    _ref("list", "list.id"),
    _required("grouping_version", Integer),
    Column("stale", Boolean, nullable=False, server_default=false()),
)
Index("thread_stale", thread.c.id, postgresql_where=thread.c.stale)

thread_alias = Table(
    "thread_alias",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    _ref("thread", "thread.id"),
)
Index("thread_alias_thread", thread_alias.c.thread)

message = Table(
    "message",
    metadata,
    _id(),
    _ref("list", "list.id"),
    _required("message_id", Text),
    _required("content_key", Text),
    _required("identity", LargeBinary),
    _required("key", Text),
    Column("raw_sha256", LargeBinary, ForeignKey(f"{SCHEMA}.raw.sha256"), nullable=False),
    _required("mail_sha256", Text),
    _required("munged", Boolean),
    _required("received_at", TIME),
    _required("parser_version", Integer),
    _ref("thread", "thread.id"),
    _ref("parent", "message.id", nullable=True),
    _ref("about", "message.id", nullable=True),
    _required("kind", Text),
    _required("kind_reason", Text),
    _required("subject", Text),
    _required("name", Text),
    _required("title", Text),
    _required("prefixes", ARRAY(Text)),
    _required("tags", ARRAY(Text)),
    Column("number", BigInteger),
    Column("total", BigInteger),
    _required("version", BigInteger),
    _required("version_written", Boolean),
    Column("reroll", BigInteger),
    _required("reply", Boolean),
    _required("resend", Boolean),
    _required("rfc", Boolean),
    Column("date", TIME),
    Column("date_text", Text),
    _required("author_name", Text),
    _required("author_email", Text),
    _required("author_evidence", Text),
    _required("sender_name", Text),
    _required("sender_email", Text),
    _required("submitter_name", Text),
    _required("submitter_email", Text),
    _required("in_reply_to", ARRAY(Text)),
    _required("references", ARRAY(Text)),
    _required("former_ids", ARRAY(Text)),
    _required("headers", JSONB),
    Column("content", Text),
    Column("charset", Text),
    _required("lossy", Boolean),
    _required("defects", ARRAY(Text)),
)
Index("message_identity", message.c.list, message.c.identity, unique=True)
Index("message_key", message.c.key, postgresql_using="hash")
Index("message_message_id", message.c.message_id, postgresql_using="hash")
Index("message_thread", message.c.thread)
Index("message_list_date", message.c.list, message.c.date)
Index("message_parent", message.c.parent)
Index("message_about", message.c.about)

patch = Table(
    "patch",
    metadata,
    _ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
    Column("diff", Text),
    Column("hash", Text),
    Column("patch_id", Text),
    Column("pull_url", Text),
    Column("base_commit", Text),
    Column("change_id", Text),
)
Index("patch_hash", patch.c.hash)
Index("patch_patch_id", patch.c.patch_id)


def _positioned(name: str, *columns: Column[object]) -> Table:
    """A table of a mail's parts, in the mail's order."""
    return Table(
        name,
        metadata,
        _ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
        Column("position", Integer, primary_key=True, autoincrement=False),
        *columns,
    )


file = _positioned(
    "file",
    _required("path", Text),
    Column("old_path", Text),
    _required("change", Text),
    _required("added", Integer),
    _required("removed", Integer),
    _required("binary", Boolean),
    Column("old_blob", Text),
    Column("new_blob", Text),
)

trailer = _positioned(
    "trailer",
    _required("name", Text),
    _required("value", Text),
    Column("person_name", Text),
    Column("person_email", Text),
)

link = _positioned("link", _required("type", Text), _required("target", Text))

link_key = Table(
    "link_key",
    metadata,
    _ref("list", "list.id", primary_key=True),
    Column("key", Text, primary_key=True),
    _ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
)
Index("link_key_message", link_key.c.message)

series = Table(
    "series",
    metadata,
    _id(),
    _ref("list", "list.id"),
    _ref("thread", "thread.id"),
    _required("key", Text),
    Column("name", Text),
    _required("kind", Text),
    _required("version", BigInteger),
    _required("version_inferred", Boolean),
    _required("total", BigInteger),
    _required("received", Integer),
    _required("complete", Boolean),
    _required("announced", Boolean),
    _ref("cover", "message.id", nullable=True),
    _required("author_name", Text),
    _required("author_email", Text),
    Column("date", TIME),
    Column("change_id", Text),
    Column("reroll", BigInteger),
    _required("supersedes_ids", ARRAY(Text)),
    _ref("supersedes", "series.id", nullable=True, ondelete="SET NULL"),
    Column("evidence", Text),
    Column("stalled", Boolean, nullable=False, server_default=false()),
)
Index("series_thread", series.c.thread)
Index("series_list_date", series.c.list, series.c.date)
Index("series_cover", series.c.cover)
Index("series_supersedes", series.c.supersedes)
Index(
    "series_waiting",
    func.coalesce(series.c.date, text("'infinity'::timestamptz")),
    postgresql_where=~series.c.complete & ~series.c.stalled,
)
Index("series_change_id", series.c.change_id, postgresql_where=series.c.change_id.isnot(None))

series_patch = Table(
    "series_patch",
    metadata,
    _ref("series", "series.id", primary_key=True, ondelete="CASCADE"),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("role", Text, primary_key=True),
    _ref("message", "message.id", primary_key=True),
    _ref("posted_in", "series.id", ondelete="CASCADE"),
)
Index("series_patch_message", series_patch.c.message)
Index("series_patch_posted_in", series_patch.c.posted_in)

revision_key = Table(
    "revision_key",
    metadata,
    _ref("list", "list.id", primary_key=True),
    Column("key", Text, primary_key=True),
    _ref("series", "series.id", primary_key=True, ondelete="CASCADE"),
)
Index("revision_key_series", revision_key.c.series)

# A human's word, apart from what is parsed: the mail belongs to the series of the target.
relink = Table(
    "relink",
    metadata,
    _ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
    _ref("target", "message.id", ondelete="CASCADE"),
    Column("at", TIME, nullable=False, server_default=func.transaction_timestamp()),
)
Index("relink_target", relink.c.target)

delivery = Table(
    "delivery",
    metadata,
    _id(),
    _ref("message", "message.id"),
    _ref("list", "list.id"),
    _required("received_at", TIME),
    Column("envelope_from", Text),
    _required("recipients", ARRAY(Text)),
    Column("queue_id", Text),
    Column("peer", Text),
    Column("raw_sha256", LargeBinary, ForeignKey(f"{SCHEMA}.raw.sha256"), nullable=False),
    _required("raw_size", Integer),
    _required("repeat", Boolean),
    Column("authentication", ARRAY(Text), nullable=False, server_default="{}"),
)
Index("delivery_message", delivery.c.message)

event = Table(
    "event",
    metadata,
    Column("cursor", BigInteger, primary_key=True, autoincrement=False),
    Column("at", TIME, nullable=False, server_default=func.transaction_timestamp()),
    _required("category", Text),
    Column("list", BigInteger),
    Column("message", BigInteger),
    Column("series", BigInteger),
    _required("payload", JSONB),
)

quarantine = Table(
    "quarantine",
    metadata,
    _id(),
    _required("received_at", TIME),
    _required("error", Text),
    Column("raw_sha256", LargeBinary, ForeignKey(f"{SCHEMA}.raw.sha256"), nullable=False),
    _required("raw_size", Integer),
    Column("envelope_from", Text),
    _required("recipients", ARRAY(Text)),
    Column("peer", Text),
    _required("lists", ARRAY(Text)),
)

# Entries that are no more: replayed, or dropped by a person with a reason.
quarantine_ended = Table(
    "quarantine_ended",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    _required("received_at", TIME),
    _required("error", Text),
    _required("raw_sha256", LargeBinary),
    _required("raw_size", Integer),
    Column("ended_at", TIME, nullable=False, server_default=func.transaction_timestamp()),
    _required("outcome", Text),
    Column("reason", Text),
)

# How far a reparse has come. The scope is a List-Id, or empty for all lists.
reparse = Table(
    "reparse",
    metadata,
    Column("scope", Text, primary_key=True),
    _required("after", BigInteger),
    _required("parser_version", Integer),
    _required("grouping_version", Integer),
)

# What is left of a forgotten mail.
tombstone = Table(
    "tombstone",
    metadata,
    _id(),
    _ref("list", "list.id"),
    _required("message", BigInteger),
    _required("content_key", Text),
    Column("at", TIME, nullable=False, server_default=func.transaction_timestamp()),
    _required("reason", Text),
    _required("queue_ids", ARRAY(Text)),
    Column("copies", Integer, nullable=False, server_default="0"),
    Column("last_copy", TIME),
    Column("lifted_at", TIME),
)

# What its copies are known by.
tombstone_digest = Table(
    "tombstone_digest",
    metadata,
    _ref("list", "list.id", primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    _ref("tombstone", "tombstone.id"),
)
Index("tombstone_digest_tombstone", tombstone_digest.c.tombstone)
