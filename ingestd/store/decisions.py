"""What people decided about patches and comments, where mails turn out to be one: it holds for the mail that stays."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.store.api import work

_STATEMENTS = (
    # A patch that nobody has looked at takes over what was decided about the other one; else its own stands.
    """
    UPDATE ingestd.triage k
    SET state = g.state, archived = g.archived, commit_ref = g.commit_ref, pull_url = g.pull_url,
        delegate = g.delegate, relation = g.relation
    FROM ingestd.triage g
    WHERE g.message = :gone AND k.message = :kept AND k.state = 'new' AND NOT k.archived
      AND coalesce(k.commit_ref, k.pull_url) IS NULL AND coalesce(k.delegate, k.relation) IS NULL
    """,
    """
    UPDATE ingestd.triage SET message = :kept
    WHERE message = :gone AND NOT EXISTS (SELECT FROM ingestd.triage WHERE message = :kept)
    """,
    "UPDATE ingestd.patch_check SET message = :kept WHERE message = :gone",
    """
    UPDATE ingestd.comment_triage SET message = :kept
    WHERE message = :gone AND NOT EXISTS (SELECT FROM ingestd.comment_triage WHERE message = :kept)
    """,
    """
    UPDATE ingestd.bundle_patch b SET message = :kept
    WHERE message = :gone
      AND NOT EXISTS (SELECT FROM ingestd.bundle_patch WHERE bundle = b.bundle AND message = :kept)
    """,
)


async def follow(connection: AsyncConnection, into: Mapping[int, int]) -> None:
    """Let what was decided about mails hold for those that they turned out to be: id -> id of the mail it is."""
    for gone, kept in sorted(into.items()):
        for statement in _STATEMENTS:
            await connection.execute(text(statement), {"gone": gone, "kept": kept})
    for kept, verdict in (await work.worst(connection, sorted(set(into.values())))).items():
        await connection.execute(
            text("UPDATE ingestd.triage SET verdict = :verdict WHERE message = :kept"),
            {"verdict": verdict, "kept": kept},
        )
