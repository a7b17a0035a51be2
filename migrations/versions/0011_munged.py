"""An index of the From that lists put in the place of an author's: searches go by it, as those who read the mail do."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.execute("CREATE INDEX message_munged_sender ON ingestd.message (md5(lower(sender_email))) WHERE munged")
