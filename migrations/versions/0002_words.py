"""What people say of series, what became of trailers and links, and which series wait for mail that does not come."""

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = [
    # A human's word: the mail belongs to the series of the target. By id, so that no parser has a say in it.
    """
    CREATE TABLE ingestd.relink (
        message bigint PRIMARY KEY REFERENCES ingestd.message ON DELETE CASCADE,
        target  bigint NOT NULL REFERENCES ingestd.message ON DELETE CASCADE,
        at      timestamptz NOT NULL DEFAULT transaction_timestamp()
    )
    """,
    "CREATE INDEX relink_target ON ingestd.relink (target)",
    # Whether it was said that a series waits in vain: once a series.
    "ALTER TABLE ingestd.series ADD COLUMN stalled boolean NOT NULL DEFAULT false",
    "CREATE INDEX series_waiting ON ingestd.series (id) WHERE NOT complete AND NOT stalled",
    "CREATE INDEX series_change_id ON ingestd.series (change_id) WHERE change_id IS NOT NULL",
    # An older program linked a mail into a thread that a newer one had grouped, and left grouping to that one.
    "ALTER TABLE ingestd.thread ADD COLUMN stale boolean NOT NULL DEFAULT false",
    "CREATE INDEX thread_stale ON ingestd.thread (id) WHERE stale",
]

# b4's rule for who may give a trailer in a reply: the same address but for +extensions and one label of the domain,
# or the same name, also as "Last, First". A single word is no proof.
# Both functions have a body that is read when they are made: a reader of the views has no right to look up our names.
PLAIN_NAME = """
    CREATE FUNCTION ingestd.plain_name(name text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN lower(regexp_replace(
        regexp_replace(trim(name), '^([^,]+),\\s*(.+)$', '\\2 \\1'), '\\s+', ' ', 'g'
    ))
"""

SAME_PERSON = """
    CREATE FUNCTION ingestd.same_person(name text, email text, other_name text, other_email text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    RETURN (
        SELECT coalesce(
            split_part(a, '@', 1) = split_part(b, '@', 1)
            AND (
                split_part(a, '@', 2) = split_part(b, '@', 2)
                OR regexp_replace(split_part(a, '@', 2), '^[^.]*[.]', '') = split_part(b, '@', 2)
                OR split_part(a, '@', 2) = regexp_replace(split_part(b, '@', 2), '^[^.]*[.]', '')
            ),
            false
        ) OR coalesce(n LIKE '% %' AND n = o, false)
        FROM (
            SELECT lower(regexp_replace(email, '[+][^@]*@', '@')) AS a,
                   lower(regexp_replace(other_email, '[+][^@]*@', '@')) AS b,
                   ingestd.plain_name(name) AS n,
                   ingestd.plain_name(other_name) AS o
        ) AS normal
    )
"""

# What each trailer is about, resolved where it is read: so it does not matter what came first. A Date that nobody can
# read counts as the last, as it does for grouping.
GIVEN = """
    CREATE VIEW ingestd.given AS
    SELECT m.about AS subject, m.id AS source, t.position,
           CASE WHEN m.id = m.about THEN 'own' ELSE 'reply' END AS reason, NULL::bigint AS via
    FROM ingestd.message m
    JOIN ingestd.trailer t ON t.message = m.id
    WHERE m.about IS NOT NULL
    UNION
    -- What a reply says of a cover, it says of all its patches; of a re-roll only where that was there to be seen.
    SELECT sp.message, m.id, t.position, 'cover', s.cover
    FROM ingestd.series_patch sp
    JOIN ingestd.series s ON s.id = sp.series
    JOIN ingestd.message p ON p.id = sp.message
    JOIN ingestd.message m ON m.about = s.cover
    JOIN ingestd.trailer t ON t.message = m.id
    WHERE sp.role <> 'carried' AND sp.number > 0
      AND m.kind = 'reply' AND (sp.role = 'posted' OR coalesce(m.date, 'infinity') >= coalesce(p.date, 'infinity'))
      AND t.person_email IS NOT NULL AND lower(t.name) <> 'signed-off-by'
    UNION
    -- What was said of a patch holds for the same diff in a later version.
    SELECT p.id, m.id, t.position, 'carried', q.id
    FROM ingestd.message p
    JOIN ingestd.patch pp ON pp.message = p.id
    JOIN ingestd.series_patch sp ON sp.message = p.id AND sp.role <> 'carried'
    JOIN ingestd.patch qp ON qp.patch_id = pp.patch_id AND qp.message <> pp.message
    JOIN ingestd.message q ON q.id = qp.message AND q.list = p.list
    JOIN ingestd.series_patch older ON older.message = q.id AND older.role <> 'carried'
    JOIN ingestd.series s ON s.id = older.series
    JOIN ingestd.message m ON m.about = q.id OR m.about = s.cover
    JOIN ingestd.trailer t ON t.message = m.id
    WHERE sp.number > 0 AND m.kind = 'reply'
      AND (m.about = q.id OR older.role = 'posted' OR coalesce(m.date, 'infinity') >= coalesce(q.date, 'infinity'))
      AND t.person_email IS NOT NULL AND lower(t.name) <> 'signed-off-by'
      AND CASE
          WHEN older.series = sp.series THEN
              (coalesce(q.date, 'infinity'), q.key COLLATE "C") < (coalesce(p.date, 'infinity'), p.key COLLATE "C")
          ELSE older.series IN (
              WITH RECURSIVE chain AS (
                  SELECT one.supersedes AS id FROM ingestd.series one WHERE one.id = sp.series
                  UNION
                  SELECT next.supersedes FROM chain JOIN ingestd.series next ON next.id = chain.id
              )
              SELECT chain.id FROM chain WHERE chain.id IS NOT NULL
          )
      END
"""

VIEWS = [
    """
    CREATE OR REPLACE VIEW ingestd_v1.trailer AS
    SELECT a.message_id, m.message_id AS source_message_id, l.list_id, t.name, t.value, t.person_name,
           t.person_email, lower(t.person_email) = lower(m.author_email) AS from_matches,
           CASE WHEN t.person_email IS NOT NULL THEN
               ingestd.same_person(t.person_name, t.person_email, m.author_name, m.author_email)
           END AS sender_matches,
           g.reason, v.message_id AS via_message_id
    FROM ingestd.given g
    JOIN ingestd.trailer t ON t.message = g.source AND t.position = g.position
    JOIN ingestd.message m ON m.id = g.source
    JOIN ingestd.message a ON a.id = g.subject
    JOIN ingestd.list l ON l.id = m.list
    LEFT JOIN ingestd.message v ON v.id = g.via
    """,
    # Resolved where it is read: a target may come after the mail that names it, and a newer version of it later still.
    """
    CREATE OR REPLACE VIEW ingestd_v1.link AS
    SELECT m.message_id, l.list_id, k.type, k.target AS target_message_id,
           CASE
               WHEN k.type = 'prerequisite' THEN (
                   SELECT s.id
                   FROM ingestd.patch q
                   JOIN ingestd.series_patch sp ON sp.message = q.message AND sp.role <> 'carried'
                   JOIN ingestd.series s ON s.id = sp.posted_in
                   JOIN ingestd.list sl ON sl.id = s.list
                   WHERE q.patch_id = k.target
                   ORDER BY s.list <> m.list, sl.list_id COLLATE "C", s.version DESC, s.date DESC NULLS LAST,
                            s.key COLLATE "C"
                   LIMIT 1
               )
               WHEN k.target LIKE 'change-id:%' THEN (
                   SELECT s.id
                   FROM ingestd.series s
                   JOIN ingestd.list sl ON sl.id = s.list
                   WHERE s.change_id = substr(k.target, 11)
                   ORDER BY s.list <> m.list, sl.list_id COLLATE "C", s.version DESC, s.date DESC NULLS LAST,
                            s.key COLLATE "C"
                   LIMIT 1
               )
               ELSE (
                   SELECT s.id
                   FROM ingestd.message t
                   CROSS JOIN LATERAL (
                       SELECT sp.posted_in AS id
                       FROM ingestd.series_patch sp
                       WHERE sp.message = t.id AND sp.role <> 'carried'
                       UNION
                       SELECT c.id FROM ingestd.series c WHERE c.cover = t.id
                   ) near
                   JOIN ingestd.series s ON s.id = near.id
                   JOIN ingestd.list sl ON sl.id = s.list
                   WHERE t.key = k.target
                   ORDER BY s.list <> m.list, sl.list_id COLLATE "C", s.key COLLATE "C"
                   LIMIT 1
               )
           END AS resolved_series_id,
           own.id AS series_id,
           NOT EXISTS (
               SELECT
               FROM (
                   SELECT own.cover AS message
                   UNION
                   SELECT sp.message FROM ingestd.series_patch sp WHERE sp.series = own.id AND sp.role <> 'carried'
               ) member
               JOIN ingestd.message n ON n.about = member.message
               JOIN ingestd.link again ON again.message = n.id AND again.type = k.type
               WHERE n.kind = 'reply'
                 AND lower(n.author_email) IN (lower(m.author_email), lower(own.author_email))
                 AND (coalesce(n.date, 'infinity'), n.key COLLATE "C")
                     > (coalesce(m.date, 'infinity'), m.key COLLATE "C")
           ) AS current
    FROM ingestd.link k
    JOIN ingestd.message m ON m.id = k.message
    JOIN ingestd.list l ON l.id = m.list
    LEFT JOIN LATERAL (
        SELECT s.id, s.cover, s.author_email
        FROM (
            SELECT sp.posted_in AS id
            FROM ingestd.series_patch sp
            WHERE sp.message = m.about AND sp.role <> 'carried'
            UNION
            SELECT c.id FROM ingestd.series c WHERE c.cover = m.about
        ) near
        JOIN ingestd.series s ON s.id = near.id
        ORDER BY s.key COLLATE "C"
        LIMIT 1
    ) own ON true
    """,
    """
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
               WHEN s.evidence IN ('supersedes', 'change-id') THEN 'high'
               WHEN s.evidence IN ('in-reply-to', 'title') THEN 'medium'
               WHEN s.evidence IS NOT NULL THEN 'low'
           END AS supersedes_confidence
    FROM ingestd.series s
    JOIN ingestd.list l ON l.id = s.list
    LEFT JOIN ingestd.message c ON c.id = s.cover
    """,
    """
    CREATE VIEW ingestd_v1.relink AS
    SELECT r.message, m.message_id, l.list_id, t.message_id AS target_message_id, r.at
    FROM ingestd.relink r
    JOIN ingestd.message m ON m.id = r.message
    JOIN ingestd.message t ON t.id = r.target
    JOIN ingestd.list l ON l.id = m.list
    """,
]


# A careful DBA may have kept us from making the role: then they grant by hand, as 0001 says.
READER = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ingestd_reader') THEN
        GRANT SELECT ON ingestd_v1.relink TO ingestd_reader;
    END IF;
END $$
"""


def upgrade() -> None:
    """Add all of it; nothing that an older program uses changes."""
    for statement in [*TABLES, PLAIN_NAME, SAME_PERSON, GIVEN, *VIEWS, READER]:
        op.execute(statement)
