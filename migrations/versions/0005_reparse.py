"""How far a reparse has come, so that one that was stopped goes on.

Expand only: an older ingestd knows nothing of the table and needs nothing of it.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    # Written with the batch it belongs to; gone once the reparse has come to its end. The scope is a List-Id, or empty.
    op.execute("""
        CREATE TABLE ingestd.reparse (
            scope            text PRIMARY KEY,
            after            bigint NOT NULL,
            parser_version   integer NOT NULL,
            grouping_version integer NOT NULL
        )
    """)
