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
    true,
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
    _ref("submitter", "person.id"),  # a trigger sets it
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
    _ref("submitter", "person.id"),  # a trigger sets it
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

# The same on what a series supersedes: the series of the target; nothing without one.
succession = Table(
    "succession",
    metadata,
    _ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
    _ref("target", "message.id", nullable=True, ondelete="CASCADE"),
    Column("at", TIME, nullable=False, server_default=func.transaction_timestamp()),
)
Index("succession_target", succession.c.target)

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
    Column("actor", BigInteger),
)
for _column in (event.c.category, event.c.list, event.c.message, event.c.series):
    Index(f"event_{_column.name}", _column, event.c.cursor)
Index("event_at", event.c.at)

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

# How far an archive has been read. `list_id`: where the operator wants its mails; empty: where they say.
archive = Table(
    "archive",
    metadata,
    Column("source", Text, primary_key=True),
    Column("list_id", Text, primary_key=True),
    _required("place", JSONB),
    Column("at", TIME, nullable=False, server_default=func.transaction_timestamp()),
)

# What the HTTP API keeps. People that mails name as their submitter, one row an address: a trigger writes them.
person = Table(
    "person", metadata, _id(), _required("email", Text), _required("name", Text), _required("named_at", TIME)
)
Index("person_email", func.md5(func.lower(person.c.email)), unique=True)

# People who may log in.
account = Table(
    "account",
    metadata,
    _id(),
    _required("username", Text),
    Column("first_name", Text, nullable=False, server_default=""),
    Column("last_name", Text, nullable=False, server_default=""),
    Column("email", Text, nullable=False, server_default=""),
    Column("password", Text),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("send_email", Boolean, nullable=False, server_default=false()),
    Column("items_per_page", Integer, nullable=False, server_default="100"),
    Column("show_ids", Boolean, nullable=False, server_default=false()),
    Column("created_at", TIME, nullable=False, server_default=func.transaction_timestamp()),
    UniqueConstraint("username", name="account_username_key"),
)

token = Table(
    "token",
    metadata,
    _id(),
    _ref("account", "account.id", ondelete="CASCADE"),
    _required("digest", LargeBinary),
    Column("note", Text, nullable=False, server_default=""),
    Column("created_at", TIME, nullable=False, server_default=func.transaction_timestamp()),
    Column("revoked_at", TIME),
    UniqueConstraint("digest", name="token_digest_key"),
)
Index("token_account", token.c.account)

maintainer = Table(
    "maintainer",
    metadata,
    _ref("account", "account.id", primary_key=True, ondelete="CASCADE"),
    _ref("list", "list.id", primary_key=True, ondelete="CASCADE"),
)
Index("maintainer_list", maintainer.c.list)

# What people say of a list, beside what the configuration says. A trigger makes the row.
project = Table(
    "project",
    metadata,
    _ref("list", "list.id", primary_key=True, ondelete="CASCADE"),
    _required("link_name", Text),
    *(
        Column(name, Text, nullable=False, server_default="")
        for name in (
            *("web_url", "scm_url", "webscm_url", "list_archive_url", "list_archive_url_format"),
            "commit_url_format",
        )
    ),
    Column("show_dependencies", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("link_name", name="project_link_name_key"),
)

relation = Table("relation", metadata, _id())

# What humans decided about a patch. A trigger makes the row, and keeps what repeats the mail for the indexes.
triage = Table(
    "triage",
    metadata,
    _ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
    _ref("list", "list.id"),
    _required("listed", Boolean),
    _required("name", Text),
    _required("date", TIME),
    _ref("submitter", "person.id"),
    Column("state", Text, nullable=False, server_default="new"),
    Column("archived", Boolean, nullable=False, server_default=false()),
    Column("commit_ref", Text),
    Column("pull_url", Text),
    _ref("delegate", "account.id", nullable=True, ondelete="SET NULL"),
    _ref("relation", "relation.id", nullable=True, ondelete="SET NULL"),
    Column("verdict", Text),
)
Index("triage_list", triage.c.list, triage.c.message, postgresql_where=triage.c.listed)
Index("triage_list_date", triage.c.list, triage.c.date, triage.c.message, postgresql_where=triage.c.listed)
Index("triage_name", func.ingestd.trigrams(triage.c.name), postgresql_using="gin", postgresql_where=triage.c.listed)
Index("triage_date", triage.c.date, triage.c.message, postgresql_where=triage.c.listed)
Index(
    "triage_state",
    triage.c.state,
    triage.c.archived,
    triage.c.list,
    triage.c.date,
    triage.c.message,
    postgresql_where=triage.c.listed,
)
Index("triage_submitter", triage.c.submitter, triage.c.message)
Index("triage_delegate", triage.c.delegate, triage.c.message, postgresql_where=triage.c.delegate.isnot(None))
Index("triage_relation", triage.c.relation, postgresql_where=triage.c.relation.isnot(None))

patch_check = Table(
    "patch_check",
    metadata,
    _id(),
    _ref("message", "message.id", ondelete="CASCADE"),
    _ref("account", "account.id"),
    Column("date", TIME, nullable=False, server_default=func.clock_timestamp()),
    _required("state", Text),
    _required("context", Text),
    Column("target_url", Text),
    Column("description", Text),
)
Index("patch_check_message", patch_check.c.message, patch_check.c.id)
Index("patch_check_account", patch_check.c.account)

comment_triage = Table(
    "comment_triage",
    metadata,
    _ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
    Column("addressed", Boolean),
)

bundle = Table(
    "bundle",
    metadata,
    _id(),
    _ref("account", "account.id", ondelete="CASCADE"),
    _ref("list", "list.id", ondelete="CASCADE"),
    _required("name", Text),
    Column("public", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("account", "name", name="bundle_account_name_key"),
)
Index("bundle_list", bundle.c.list)

bundle_patch = Table(
    "bundle_patch",
    metadata,
    _ref("bundle", "bundle.id", primary_key=True, ondelete="CASCADE"),
    _ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
    _required("position", Integer),
)
Index("bundle_patch_message", bundle_patch.c.message)
