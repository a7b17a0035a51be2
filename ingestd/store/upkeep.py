"""What a backup has to know of the database beside its rows."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# As the first migration has it, on a server that may be another kind than the one before: lz4 where there is, else
# mail is kept uncompressed rather than slow.
COMPRESSION = """
DO $$
DECLARE
    has_lz4 boolean := EXISTS (
        SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)
    );
    place record;
BEGIN
    FOR place IN
        SELECT * FROM (VALUES ('raw', 'bytes'), ('message', 'headers'), ('message', 'content'), ('patch', 'diff'))
                      AS p (relation, field)
    LOOP
        IF has_lz4 THEN
            EXECUTE format('ALTER TABLE ingestd.%I ALTER COLUMN %I SET STORAGE EXTENDED', place.relation, place.field);
            EXECUTE format('ALTER TABLE ingestd.%I ALTER COLUMN %I SET COMPRESSION lz4', place.relation, place.field);
        ELSE
            EXECUTE format('ALTER TABLE ingestd.%I ALTER COLUMN %I SET STORAGE EXTERNAL', place.relation, place.field);
        END IF;
    END LOOP;
END $$
"""


async def roles(connection: AsyncConnection) -> list[str]:
    """The roles that somebody made on this server, and we: they may have been granted something."""
    found = await connection.execute(
        text("""
            SELECT rolname
            FROM pg_roles
            WHERE rolname NOT LIKE 'pg\\_%' AND rolname <> current_user
            ORDER BY rolname COLLATE "C"
        """)
    )
    return list(found.scalars())
