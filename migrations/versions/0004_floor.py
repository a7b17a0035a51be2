"""What the newest schema demands of a program, and look-ups by Message-ID in the views.

Expand only: an older ingestd needs neither.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and the index."""
    # A program that knows the schema `revision` can work on this one. A migration that older programs cannot bear
    # raises it; others leave it, so that daemons are upgraded one after the other.
    op.execute("CREATE TABLE ingestd.schema_floor (revision text NOT NULL)")
    op.execute("CREATE UNIQUE INDEX schema_floor_one ON ingestd.schema_floor ((true))")
    op.execute("INSERT INTO ingestd.schema_floor (revision) VALUES ('0001')")
    # Not a tree: a Message-ID may be longer than its entries can be.
    op.execute("CREATE INDEX message_message_id ON ingestd.message USING hash (message_id)")
