"""What the newest schema demands of a program, look-ups by Message-ID, and what trusted hosts say of senders.

Expand only: an older ingestd needs none of it.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, the index and the column."""
    # A program that knows the schema `revision` can work on this one. A migration that older programs cannot bear
    # raises it; others leave it, so that daemons are upgraded one after the other.
    op.execute("CREATE TABLE ingestd.schema_floor (revision text NOT NULL)")
    op.execute("CREATE UNIQUE INDEX schema_floor_one ON ingestd.schema_floor ((true))")
    op.execute("INSERT INTO ingestd.schema_floor (revision) VALUES ('0001')")
    # Not a tree: a Message-ID may be longer than its entries can be.
    op.execute("CREATE INDEX message_message_id ON ingestd.message USING hash (message_id)")
    # Of the series that lack patches only the newer ones are looked at.
    op.execute("DROP INDEX ingestd.series_waiting")
    op.execute("""
        CREATE INDEX series_waiting ON ingestd.series (coalesce(date, 'infinity'::timestamptz))
        WHERE NOT complete AND NOT stalled
    """)
    op.execute("ALTER TABLE ingestd.delivery ADD COLUMN authentication text[] NOT NULL DEFAULT '{}'")
    op.execute("""
        CREATE OR REPLACE VIEW ingestd_v1.delivery AS
        SELECT d.id, d.message, m.message_id, l.list_id, d.received_at, d.envelope_from, d.recipients, d.queue_id,
               d.peer, encode(d.raw_sha256, 'hex') AS raw_sha256, d.raw_size, d.repeat, d.authentication
        FROM ingestd.delivery d
        JOIN ingestd.message m ON m.id = d.message
        JOIN ingestd.list l ON l.id = d.list
    """)
