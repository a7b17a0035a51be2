"""A human's word on what a series supersedes.

Expand only: an older ingestd goes by what mails say, until a newer one looks at the series again.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SERIES = """
    CREATE OR REPLACE VIEW ingestd_v1.series AS
    SELECT s.id, l.list_id, s.key, s.name, s.kind, s.version, s.total, s.received, s.complete,
           c.message_id AS cover_message_id, s.author_name, s.author_email, s.date, s.change_id,
           s.supersedes,
           (
               SELECT n.id
               FROM ingestd.series n
               WHERE n.supersedes = s.id
               ORDER BY n.version, n.date, n.key COLLATE "C"
               LIMIT 1
           ) AS superseded_by,
           s.evidence AS supersedes_evidence, s.version_inferred, s.thread AS thread_id,
           CASE
               WHEN s.evidence IN ('relink', 'supersedes', 'change-id') THEN 'high'
               WHEN s.evidence IN ('in-reply-to', 'title') THEN 'medium'
               WHEN s.evidence IS NOT NULL THEN 'low'
           END AS supersedes_confidence
    FROM ingestd.series s
    JOIN ingestd.list l ON l.id = s.list
    LEFT JOIN ingestd.message c ON c.id = s.cover
"""


def upgrade() -> None:
    """Create the table and its view."""
    # Anchored on mails, as relink is: series come and go. Without a target: it supersedes nothing.
    op.execute("""
        CREATE TABLE ingestd.succession (
            message bigint PRIMARY KEY REFERENCES ingestd.message ON DELETE CASCADE,
            target  bigint REFERENCES ingestd.message ON DELETE CASCADE,
            at      timestamptz NOT NULL DEFAULT transaction_timestamp()
        )
    """)
    op.execute("CREATE INDEX succession_target ON ingestd.succession (target)")
    op.execute("CREATE INDEX series_spoken ON ingestd.series (supersedes) WHERE evidence = 'relink'")
    op.execute("""
        CREATE VIEW ingestd_v1.succession AS
        SELECT m.message_id, l.list_id, t.message_id AS target_message_id, s.at
        FROM ingestd.succession s
        JOIN ingestd.message m ON m.id = s.message
        JOIN ingestd.list l ON l.id = m.list
        LEFT JOIN ingestd.message t ON t.id = s.target
    """)
    op.execute(SERIES)
    op.execute("""
        DO $$
        BEGIN
            IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ingestd_reader') THEN
                GRANT SELECT ON ingestd_v1.succession TO ingestd_reader;
            END IF;
        END $$
    """)
