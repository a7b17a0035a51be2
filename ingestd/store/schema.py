"""The tables of mail, for building queries. `migrations/` makes them; a test compares the two."""

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


def id_() -> Column[int]:
    """The primary key that the database gives."""
    return Column("id", BigInteger, Identity(), primary_key=True)


def ref(
    name: str, target: str, *, nullable: bool = False, primary_key: bool = False, ondelete: str | None = None
) -> Column[int]:
    """A reference to a column of another table, such as `message.id`."""
    return Column(
        name,
        BigInteger,
        ForeignKey(f"{SCHEMA}.{target}", ondelete=ondelete),
        nullable=nullable,
        primary_key=primary_key,
        autoincrement=False,
    )


def required(name: str, type_: type | object) -> Column[object]:
    """A column that is never null."""
    return Column(name, type_, nullable=False)  # type: ignore[arg-type]


TIME = DateTime(timezone=True)

# What a program must know at least to work on this schema: a revision. One row.
schema_floor = Table("schema_floor", metadata, required("revision", Text))
Index("schema_floor_one", text("(true)"), unique=True, _table=schema_floor)

counter = Table("counter", metadata, Column("name", Text, primary_key=True), required("value", BigInteger))

list_ = Table(
    "list",
    metadata,
    id_(),
    required("list_id", Text),
    Column("name", Text),
    Column("address", Text),
    UniqueConstraint("list_id", name="list_list_id_key"),
)

raw = Table(
    "raw",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    required("size", Integer),
    required("bytes", LargeBinary),
)

thread = Table(
    "thread",
    metadata,
    id_(),
    ref("list", "list.id"),
    required("grouping_version", Integer),
    Column("stale", Boolean, nullable=False, server_default=false()),
)
Index("thread_stale", thread.c.id, postgresql_where=thread.c.stale)

thread_alias = Table(
    "thread_alias",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    ref("thread", "thread.id"),
)
Index("thread_alias_thread", thread_alias.c.thread)

message = Table(
    "message",
    metadata,
    id_(),
    ref("list", "list.id"),
    required("message_id", Text),
    required("content_key", Text),
    required("identity", LargeBinary),
    required("key", Text),
    Column("raw_sha256", LargeBinary, ForeignKey(f"{SCHEMA}.raw.sha256"), nullable=False),
    required("mail_sha256", Text),
    required("munged", Boolean),
    required("received_at", TIME),
    required("parser_version", Integer),
    ref("thread", "thread.id"),
    ref("parent", "message.id", nullable=True),
    ref("about", "message.id", nullable=True),
    required("kind", Text),
    required("kind_reason", Text),
    required("subject", Text),
    required("name", Text),
    required("title", Text),
    required("prefixes", ARRAY(Text)),
    required("tags", ARRAY(Text)),
    Column("number", BigInteger),
    Column("total", BigInteger),
    required("version", BigInteger),
    required("version_written", Boolean),
    Column("reroll", BigInteger),
    required("reply", Boolean),
    required("resend", Boolean),
    required("rfc", Boolean),
    Column("date", TIME),
    Column("date_text", Text),
    required("author_name", Text),
    required("author_email", Text),
    required("author_evidence", Text),
    required("sender_name", Text),
    required("sender_email", Text),
    required("submitter_name", Text),
    required("submitter_email", Text),
    required("in_reply_to", ARRAY(Text)),
    required("references", ARRAY(Text)),
    required("former_ids", ARRAY(Text)),
    required("headers", JSONB),
    Column("content", Text),
    Column("charset", Text),
    required("lossy", Boolean),
    required("defects", ARRAY(Text)),
    ref("submitter", "person.id"),  # a trigger sets it
)
Index("message_identity", message.c.list, message.c.identity, unique=True)
Index("message_key", message.c.key, postgresql_using="hash")
Index("message_message_id", message.c.message_id, postgresql_using="hash")
Index("message_thread", message.c.thread)
Index("message_list_date", message.c.list, message.c.date)
Index("message_parent", message.c.parent)
Index("message_about", message.c.about)
Index("message_submitter", message.c.submitter, message.c.id)
Index("message_munged_sender", func.md5(func.lower(message.c.sender_email)), postgresql_where=message.c.munged)
Index("message_cover", message.c.id, postgresql_where=message.c.kind == "cover")
Index(
    "message_cover_list_date", message.c.list, message.c.date, message.c.id, postgresql_where=message.c.kind == "cover"
)

patch = Table(
    "patch",
    metadata,
    ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
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
        ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
        Column("position", Integer, primary_key=True, autoincrement=False),
        *columns,
    )


file = _positioned(
    "file",
    required("path", Text),
    Column("old_path", Text),
    required("change", Text),
    required("added", Integer),
    required("removed", Integer),
    required("binary", Boolean),
    Column("old_blob", Text),
    Column("new_blob", Text),
)

trailer = _positioned(
    "trailer",
    required("name", Text),
    required("value", Text),
    Column("person_name", Text),
    Column("person_email", Text),
)

link = _positioned("link", required("type", Text), required("target", Text))

link_key = Table(
    "link_key",
    metadata,
    ref("list", "list.id", primary_key=True),
    Column("key", Text, primary_key=True),
    ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
)
Index("link_key_message", link_key.c.message)

series = Table(
    "series",
    metadata,
    id_(),
    ref("list", "list.id"),
    ref("thread", "thread.id"),
    required("key", Text),
    Column("name", Text),
    required("kind", Text),
    required("version", BigInteger),
    required("version_inferred", Boolean),
    required("total", BigInteger),
    required("received", Integer),
    required("complete", Boolean),
    required("announced", Boolean),
    ref("cover", "message.id", nullable=True),
    required("author_name", Text),
    required("author_email", Text),
    Column("date", TIME),
    Column("change_id", Text),
    Column("reroll", BigInteger),
    required("supersedes_ids", ARRAY(Text)),
    ref("supersedes", "series.id", nullable=True, ondelete="SET NULL"),
    Column("evidence", Text),
    Column("stalled", Boolean, nullable=False, server_default=false()),
    ref("submitter", "person.id"),  # a trigger sets it
)
Index("series_submitter", series.c.submitter, series.c.id)
Index("series_thread", series.c.thread)
Index("series_list_date", series.c.list, series.c.date)
Index("series_cover", series.c.cover)
Index("series_supersedes", series.c.supersedes)
Index(
    "series_waiting",
    func.coalesce(series.c.date, text("'infinity'::timestamptz")),
    postgresql_where=~series.c.complete & ~series.c.stalled,
)
Index("series_spoken", series.c.supersedes, postgresql_where=series.c.evidence == "relink")
Index("series_change_id", series.c.change_id, postgresql_where=series.c.change_id.isnot(None))

series_patch = Table(
    "series_patch",
    metadata,
    ref("series", "series.id", primary_key=True, ondelete="CASCADE"),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("role", Text, primary_key=True),
    ref("message", "message.id", primary_key=True),
    ref("posted_in", "series.id", ondelete="CASCADE"),
)
Index("series_patch_message", series_patch.c.message)
Index("series_patch_posted_in", series_patch.c.posted_in)

revision_key = Table(
    "revision_key",
    metadata,
    ref("list", "list.id", primary_key=True),
    Column("key", Text, primary_key=True),
    ref("series", "series.id", primary_key=True, ondelete="CASCADE"),
)
Index("revision_key_series", revision_key.c.series)

# A human's word, apart from what is parsed: the mail belongs to the series of the target.
relink = Table(
    "relink",
    metadata,
    ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
    ref("target", "message.id", ondelete="CASCADE"),
    Column("at", TIME, nullable=False, server_default=func.transaction_timestamp()),
)
Index("relink_target", relink.c.target)

# The same on what a series supersedes: the series of the target; nothing without one.
succession = Table(
    "succession",
    metadata,
    ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
    ref("target", "message.id", nullable=True, ondelete="CASCADE"),
    Column("at", TIME, nullable=False, server_default=func.transaction_timestamp()),
)
Index("succession_target", succession.c.target)

delivery = Table(
    "delivery",
    metadata,
    id_(),
    ref("message", "message.id"),
    ref("list", "list.id"),
    required("received_at", TIME),
    Column("envelope_from", Text),
    required("recipients", ARRAY(Text)),
    Column("queue_id", Text),
    Column("peer", Text),
    Column("raw_sha256", LargeBinary, ForeignKey(f"{SCHEMA}.raw.sha256"), nullable=False),
    required("raw_size", Integer),
    required("repeat", Boolean),
    Column("authentication", ARRAY(Text), nullable=False, server_default="{}"),
)
Index("delivery_message", delivery.c.message)

event = Table(
    "event",
    metadata,
    Column("cursor", BigInteger, primary_key=True, autoincrement=False),
    Column("at", TIME, nullable=False, server_default=func.transaction_timestamp()),
    required("category", Text),
    Column("list", BigInteger),
    Column("message", BigInteger),
    Column("series", BigInteger),
    required("payload", JSONB),
    Column("actor", BigInteger),
)
for _column in (event.c.category, event.c.list, event.c.message, event.c.series):
    Index(f"event_{_column.name}", _column, event.c.cursor)
Index("event_at", event.c.at)

quarantine = Table(
    "quarantine",
    metadata,
    id_(),
    required("received_at", TIME),
    required("error", Text),
    Column("raw_sha256", LargeBinary, ForeignKey(f"{SCHEMA}.raw.sha256"), nullable=False),
    required("raw_size", Integer),
    Column("envelope_from", Text),
    required("recipients", ARRAY(Text)),
    Column("peer", Text),
    required("lists", ARRAY(Text)),
)

# Entries that are no more: replayed, or dropped by a person with a reason.
quarantine_ended = Table(
    "quarantine_ended",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    required("received_at", TIME),
    required("error", Text),
    required("raw_sha256", LargeBinary),
    required("raw_size", Integer),
    Column("ended_at", TIME, nullable=False, server_default=func.transaction_timestamp()),
    required("outcome", Text),
    Column("reason", Text),
)

# How far a reparse has come. The scope is a List-Id, or empty for all lists.
reparse = Table(
    "reparse",
    metadata,
    Column("scope", Text, primary_key=True),
    required("after", BigInteger),
    required("parser_version", Integer),
    required("grouping_version", Integer),
)

# What is left of a forgotten mail.
tombstone = Table(
    "tombstone",
    metadata,
    id_(),
    ref("list", "list.id"),
    required("message", BigInteger),
    required("content_key", Text),
    Column("at", TIME, nullable=False, server_default=func.transaction_timestamp()),
    required("reason", Text),
    required("queue_ids", ARRAY(Text)),
    Column("copies", Integer, nullable=False, server_default="0"),
    Column("last_copy", TIME),
    Column("lifted_at", TIME),
)

# What its copies are known by.
tombstone_digest = Table(
    "tombstone_digest",
    metadata,
    ref("list", "list.id", primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    ref("tombstone", "tombstone.id"),
)
Index("tombstone_digest_tombstone", tombstone_digest.c.tombstone)

# How far an archive has been read. `list_id`: where the operator wants its mails; empty: where they say.
archive = Table(
    "archive",
    metadata,
    Column("source", Text, primary_key=True),
    Column("list_id", Text, primary_key=True),
    required("place", JSONB),
    Column("at", TIME, nullable=False, server_default=func.transaction_timestamp()),
)
