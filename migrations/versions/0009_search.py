"""An index for searching the names of patches by any part of them, without an extension."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# All runs of three letters, in lower case. The index has an entry for each: a name with a word in it has all of those.
TRIGRAMS = """
    CREATE FUNCTION ingestd.trigrams(value text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT
    RETURN (
        SELECT coalesce(array_agg(DISTINCT substr(low, n, 3)), '{}')
        FROM (SELECT lower(value) AS low) AS lowered, generate_series(1, length(low) - 2) AS n
    )
"""


def upgrade() -> None:
    """Add the function and the index."""
    op.execute(TRIGRAMS)
    op.execute("CREATE INDEX triage_name ON ingestd.triage USING gin (ingestd.trigrams(name)) WHERE listed")
