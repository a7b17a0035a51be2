"""What became of the mails that left quarantine.

Expand only: an older ingestd knows nothing of the table and needs nothing of it.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    # The digest is no reference: the bytes of a dropped mail are gone.
    op.execute("""
        CREATE TABLE ingestd.quarantine_ended (
            id          bigint PRIMARY KEY,
            received_at timestamptz NOT NULL,
            error       text NOT NULL,
            raw_sha256  bytea NOT NULL,
            raw_size    integer NOT NULL,
            ended_at    timestamptz NOT NULL DEFAULT transaction_timestamp(),
            outcome     text NOT NULL,
            reason      text
        )
    """)
