"""The tables of what the HTTP API keeps, beside those of mail. No query is built from them; a test compares them."""

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    false,
    func,
    true,
)

from ingestd.store.schema import TIME, id_, metadata, ref, required

# People that mails name as their submitter, one row an address: a trigger writes them.
person = Table("person", metadata, id_(), required("email", Text), required("name", Text), required("named_at", TIME))
Index("person_email", func.md5(func.lower(person.c.email)), unique=True)

# People who may log in.
account = Table(
    "account",
    metadata,
    id_(),
    required("username", Text),
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
    id_(),
    ref("account", "account.id", ondelete="CASCADE"),
    required("digest", LargeBinary),
    Column("note", Text, nullable=False, server_default=""),
    Column("created_at", TIME, nullable=False, server_default=func.transaction_timestamp()),
    Column("revoked_at", TIME),
    UniqueConstraint("digest", name="token_digest_key"),
)
Index("token_account", token.c.account)

maintainer = Table(
    "maintainer",
    metadata,
    ref("account", "account.id", primary_key=True, ondelete="CASCADE"),
    ref("list", "list.id", primary_key=True, ondelete="CASCADE"),
)
Index("maintainer_list", maintainer.c.list)

# What people say of a list, beside what the configuration says. A trigger makes the row.
project = Table(
    "project",
    metadata,
    ref("list", "list.id", primary_key=True, ondelete="CASCADE"),
    required("link_name", Text),
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

relation = Table("relation", metadata, id_())

# What humans decided about a patch. A trigger makes the row, and keeps what repeats the mail for the indexes.
triage = Table(
    "triage",
    metadata,
    ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
    ref("list", "list.id"),
    required("listed", Boolean),
    required("name", Text),
    required("date", TIME),
    ref("submitter", "person.id"),
    Column("state", Text, nullable=False, server_default="new"),
    Column("archived", Boolean, nullable=False, server_default=false()),
    Column("commit_ref", Text),
    Column("pull_url", Text),
    ref("delegate", "account.id", nullable=True, ondelete="SET NULL"),
    ref("relation", "relation.id", nullable=True, ondelete="SET NULL"),
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
    id_(),
    ref("message", "message.id", ondelete="CASCADE"),
    ref("account", "account.id"),
    Column("date", TIME, nullable=False, server_default=func.clock_timestamp()),
    required("state", Text),
    required("context", Text),
    Column("target_url", Text),
    Column("description", Text),
)
Index("patch_check_message", patch_check.c.message, patch_check.c.id)
Index("patch_check_account", patch_check.c.account)

comment_triage = Table(
    "comment_triage",
    metadata,
    ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
    Column("addressed", Boolean),
)

bundle = Table(
    "bundle",
    metadata,
    id_(),
    ref("account", "account.id", ondelete="CASCADE"),
    ref("list", "list.id", ondelete="CASCADE"),
    required("name", Text),
    Column("public", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("account", "name", name="bundle_account_name_key"),
)
Index("bundle_list", bundle.c.list)

bundle_patch = Table(
    "bundle_patch",
    metadata,
    ref("bundle", "bundle.id", primary_key=True, ondelete="CASCADE"),
    ref("message", "message.id", primary_key=True, ondelete="CASCADE"),
    required("position", Integer),
)
Index("bundle_patch_message", bundle_patch.c.message)
