"""What humans decide, written: each change with its event. The caller holds the ingest lock."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import IngestdError
from ingestd.store import events
from ingestd.store.api import work
from ingestd.store.events import Event


class ConflictError(IngestdError):
    """Patches are related to others already."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a patch stands, and who may change that."""

    id: int
    list: int
    state: str
    archived: bool
    commit_ref: str | None
    pull_url: str | None
    delegate: int | None
    relation: int | None
    submitter_account: int | None  # whose address sent it


async def standing(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Standing]:
    """Where the patches with these ids stand."""
    found = await connection.execute(
        text("""
            SELECT t.message, t.list, t.state, t.archived, t.commit_ref, coalesce(t.pull_url, q.pull_url) AS pull_url,
                   t.delegate, t.relation,
                   (
                       SELECT min(a.id)
                       FROM ingestd.account a
                       WHERE lower(a.email) = lower(p.email) AND a.email <> '' AND a.active
                   ) AS account
            FROM ingestd.triage t
            JOIN ingestd.person p ON p.id = t.submitter
            LEFT JOIN ingestd.patch q ON q.message = t.message
            WHERE t.message = ANY (CAST(:ids AS bigint[])) AND t.listed
        """),
        {"ids": list(ids)},
    )
    return {row.message: Standing(*row) for row in found}


async def change_patches(
    connection: AsyncConnection, patches: Sequence[Standing], changes: Mapping[str, Any], actor: int
) -> None:
    """Give patches another `state`, `archived`, `commit_ref`, `pull_url` or `delegate`."""
    log: list[Event] = []
    for patch in patches:
        real = {name: value for name, value in changes.items() if getattr(patch, name) != value}
        if not real:
            continue
        await connection.execute(
            text(f"UPDATE ingestd.triage SET {', '.join(f'{name} = :{name}' for name in real)} WHERE message = :id"),
            {**real, "id": patch.id},
        )
        if "state" in real:
            payload = {"previous_state": patch.state, "current_state": real["state"]}
            log.append(_event("patch-state-changed", patch, actor, payload))
        if "delegate" in real:
            payload = {"previous_delegate": patch.delegate, "current_delegate": real["delegate"]}
            log.append(_event("patch-delegated", patch, actor, payload))
        if real.keys() - {"state", "delegate"}:
            log.append(_event("patch-changed", patch, actor, {}))
    await events.write(connection, log)


def _event(category: str, patch: Standing, actor: int, payload: dict[str, Any]) -> Event:
    return Event(category, list=patch.list, message=patch.id, payload=payload, actor=actor)


async def relate(connection: AsyncConnection, patch: Standing, others: Collection[Standing], actor: int) -> None:
    """Say that a patch is a version of `others`; of none: that it is a version of none.

    ConflictError when that would bind two sets of related patches into one.
    """
    if not others:
        changed = await _leave(connection, patch)
    else:
        relations = {one.relation for one in [patch, *others] if one.relation is not None}
        if len(relations) > 1:
            raise ConflictError("related patches are related to others")
        relation = next(iter(relations), None)
        if relation is None:
            relation = await connection.scalar(text("INSERT INTO ingestd.relation DEFAULT VALUES RETURNING id"))
        changed = [one for one in [patch, *others] if one.relation is None]
        await connection.execute(
            text("UPDATE ingestd.triage SET relation = :relation WHERE message = ANY (CAST(:ids AS bigint[]))"),
            {"relation": relation, "ids": [one.id for one in changed]},
        )
    await events.write(connection, [_event("patch-relation-changed", one, actor, {}) for one in changed])


async def _leave(connection: AsyncConnection, patch: Standing) -> list[Standing]:
    """Take a patch from its relation, which ends when but one is left; those that are related no more."""
    if patch.relation is None:
        return []
    found = await connection.execute(
        text("SELECT message FROM ingestd.triage WHERE relation = :relation AND message <> :id"),
        {"relation": patch.relation, "id": patch.id},
    )
    rest = list(found.scalars())
    gone = [patch.id, *(rest if len(rest) == 1 else [])]
    await connection.execute(
        text("UPDATE ingestd.triage SET relation = NULL WHERE message = ANY (CAST(:ids AS bigint[]))"), {"ids": gone}
    )
    if len(rest) <= 1:
        await connection.execute(
            text("DELETE FROM ingestd.relation WHERE id = :relation"), {"relation": patch.relation}
        )
    return [patch, *(await standing(connection, gone[1:])).values()]


async def add_check(connection: AsyncConnection, patch: Standing, check: Mapping[str, Any], actor: int) -> int:
    """Keep a check: `state`, `context`, `target_url`, `description`. Answers its id."""
    made = await connection.scalar(
        text("""
            INSERT INTO ingestd.patch_check (message, account, state, context, target_url, description)
            VALUES (:message, :account, :state, :context, :target_url, :description)
            RETURNING id
        """),
        {"message": patch.id, "account": actor, **check},
    )
    verdict = (await work.worst(connection, [patch.id]))[patch.id]
    await connection.execute(
        text("UPDATE ingestd.triage SET verdict = :verdict WHERE message = :id AND verdict IS DISTINCT FROM :verdict"),
        {"verdict": verdict, "id": patch.id},
    )
    await events.write(connection, [_event("check-created", patch, actor, {"check": made})])
    return int(made)


async def address_comment(connection: AsyncConnection, comment: int, *, addressed: bool | None) -> None:
    """Say whether a comment has been dealt with."""
    await connection.execute(
        text("""
            INSERT INTO ingestd.comment_triage (message, addressed) VALUES (:id, :addressed)
            ON CONFLICT (message) DO UPDATE SET addressed = excluded.addressed
        """),
        {"id": comment, "addressed": addressed},
    )


async def change_project(connection: AsyncConnection, list_: int, changes: Mapping[str, Any]) -> None:
    """Change what people say of a list: columns of `project`."""
    await _update(connection, "project", "list", list_, changes)


async def change_user(connection: AsyncConnection, account: int, changes: Mapping[str, Any]) -> None:
    """Change what somebody says of themselves: columns of `account`."""
    await _update(connection, "account", "id", account, changes)


async def _update(connection: AsyncConnection, table: str, key: str, id_: int, changes: Mapping[str, Any]) -> None:
    if changes:
        await connection.execute(
            text(
                f"UPDATE ingestd.{table} SET {', '.join(f'{name} = :{name}' for name in changes)} WHERE {key} = :key_"
            ),
            {**changes, "key_": id_},
        )


async def create_bundle(
    connection: AsyncConnection, account: int, list_: int, name: str, patches: Sequence[int], *, public: bool
) -> int | None:
    """Make a bundle of patches of one list, and answer its id; None where the user has one of the name."""
    made = await connection.scalar(
        text("""
            INSERT INTO ingestd.bundle (account, list, name, public) VALUES (:account, :list, :name, :public)
            ON CONFLICT (account, name) DO NOTHING
            RETURNING id
        """),
        {"account": account, "list": list_, "name": name, "public": public},
    )
    if made is not None:
        await fill_bundle(connection, made, list_, patches)
    return None if made is None else int(made)


async def fill_bundle(connection: AsyncConnection, bundle: int, list_: int, patches: Sequence[int]) -> None:
    """Put these patches of one list into a bundle, in this order, in place of what is in it."""
    await connection.execute(text("DELETE FROM ingestd.bundle_patch WHERE bundle = :bundle"), {"bundle": bundle})
    await connection.execute(
        text("""
            INSERT INTO ingestd.bundle_patch (bundle, message, position)
            SELECT :bundle, message, position
            FROM unnest(CAST(:patches AS bigint[])) WITH ORDINALITY AS w (message, position)
        """),
        {"bundle": bundle, "patches": list(dict.fromkeys(patches))},
    )
    await _update(connection, "bundle", "id", bundle, {"list": list_})


async def change_bundle(connection: AsyncConnection, bundle: int, changes: Mapping[str, Any]) -> bool:
    """Change `name` and `public` of a bundle; False where its owner has another of the name."""
    if "name" in changes:
        taken = await connection.scalar(
            text("""
                SELECT count(*)
                FROM ingestd.bundle b
                JOIN ingestd.bundle own ON own.account = b.account AND own.id = :id
                WHERE b.name = :name AND b.id <> :id
            """),
            {"id": bundle, "name": changes["name"]},
        )
        if taken:
            return False
    await _update(connection, "bundle", "id", bundle, changes)
    return True


async def delete_bundle(connection: AsyncConnection, bundle: int) -> None:
    """Let a bundle be no more."""
    await connection.execute(text("DELETE FROM ingestd.bundle WHERE id = :id"), {"id": bundle})


async def follow(connection: AsyncConnection, gone: Mapping[int, int]) -> None:
    """Let what humans said of mails that turn out to be another one stand with that: id -> id of the mail it is.

    Where something was said of both, what was said of the one that stays holds.
    """
    pairs = {"gone": list(gone), "into": list(gone.values())}
    which = "(SELECT unnest(CAST(:gone AS bigint[])) AS gone, unnest(CAST(:into AS bigint[])) AS into_) w"
    for statement in (
        # A patch that nobody has touched takes over what was said of the other.
        f"""
        UPDATE ingestd.triage t
        SET state = o.state, archived = o.archived, commit_ref = o.commit_ref, pull_url = o.pull_url,
            delegate = o.delegate, relation = o.relation
        FROM {which}
        JOIN ingestd.triage o ON o.message = w.gone
        WHERE t.message = w.into_ AND t.state = 'new' AND NOT t.archived AND t.commit_ref IS NULL
          AND t.pull_url IS NULL AND t.delegate IS NULL AND t.relation IS NULL
        """,
        f"UPDATE ingestd.patch_check c SET message = w.into_ FROM {which} WHERE c.message = w.gone",
        f"""
        INSERT INTO ingestd.comment_triage (message, addressed)
        SELECT w.into_, c.addressed FROM {which} JOIN ingestd.comment_triage c ON c.message = w.gone
        ON CONFLICT (message) DO NOTHING
        """,
        f"""
        INSERT INTO ingestd.bundle_patch (bundle, message, position)
        SELECT b.bundle, w.into_, b.position FROM {which} JOIN ingestd.bundle_patch b ON b.message = w.gone
        ON CONFLICT (bundle, message) DO NOTHING
        """,
    ):
        await connection.execute(text(statement), pairs)
    verdicts = await work.worst(connection, list(gone.values()))
    for message, verdict in verdicts.items():
        await connection.execute(
            text("UPDATE ingestd.triage SET verdict = :verdict WHERE message = :id"),
            {"verdict": verdict, "id": message},
        )
