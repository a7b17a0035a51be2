"""How far archives have been read.

Expand only: an older ingestd reads each archive from its beginning, and what is there already is a repeat.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and its view."""
    # `list_id` is what the operator said with --list; empty where the mails say it themselves.
    op.execute("""
        CREATE TABLE ingestd.archive (
            source  text NOT NULL,
            list_id text NOT NULL,
            place   jsonb NOT NULL,
            at      timestamptz NOT NULL DEFAULT transaction_timestamp(),
            PRIMARY KEY (source, list_id)
        )
    """)
    op.execute("""
        CREATE VIEW ingestd_v1.archive AS
        SELECT source, nullif(list_id, '') AS list_id, place, at
        FROM ingestd.archive
    """)
    op.execute("""
        DO $$
        BEGIN
            IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ingestd_reader') THEN
                GRANT SELECT ON ingestd_v1.archive TO ingestd_reader;
            END IF;
        END
        $$
    """)
