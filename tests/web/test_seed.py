"""The answer that a real Patchwork gave for a real mail, from that mail."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from web.conftest import Json, Site


@pytest.fixture
def seed(shared: Path) -> dict[str, Any]:
    """The document."""
    found: dict[str, Any] = json.loads((shared / "seed/patch-2221182.json").read_text())
    return found


@pytest.fixture
async def seeded(site: Site, shared: Path, seed: dict[str, Any]) -> Site:
    """The site with the mail, and with the ids, project and series of the document."""
    await site.store.put((shared / "seed/patch-2221182.eml").read_bytes())
    await site.change("UPDATE ingestd.list SET name = 'QEMU Development', address = 'qemu-devel@nongnu.org'")
    # A name that no mail of ours has, and the date that Patchwork has: that of the mail which came first.
    await site.change("UPDATE ingestd.series SET name = :name", name=seed["series"][0]["name"])
    await site.change("UPDATE ingestd.series SET date = '2026-04-08T16:55:55Z'")
    return site


def without_ids(tree: Json) -> Json:
    """Everything but the ids."""
    if isinstance(tree, dict):
        return {key: without_ids(value) for key, value in tree.items() if key != "id"}
    if isinstance(tree, list):
        return [without_ids(value) for value in tree]
    return tree


def order(tree: Json) -> Json:
    """The keys in their order, all the way down."""
    if isinstance(tree, dict):
        return [(key, order(value)) for key, value in tree.items()]
    if isinstance(tree, list):
        return [order(value) for value in tree]
    return None


def as_there(answer: Json, site: Site, seed: dict[str, Any]) -> Json:
    """Our answer with the host, ids and format of the document."""
    text = json.dumps(answer).replace(site.url, "http://patchwork.ozlabs.org")
    text = re.sub(r"\?format=json", "?format=api", text)
    for path, id_ in (
        ("patches", seed["id"]),
        ("projects", seed["project"]["id"]),
        ("people", seed["submitter"]["id"]),
        ("series", seed["series"][0]["id"]),
    ):
        text = re.sub(rf"(?<=/{path}/)\d+(?=/)", str(id_), text)
    return json.loads(text)


async def test_the_document_is_reproduced(seeded: Site, seed: dict[str, Any]) -> None:
    (patch,) = await seeded.get("/api/1.0/patches/")
    answer = as_there(await seeded.get(f"/api/1.0/patches/{patch['id']}/?format=json"), seeded, seed)
    assert order(answer) == order(seed)
    assert without_ids(answer) == without_ids(seed)


async def test_it_is_changed_as_patchwork_does(seeded: Site, seed: dict[str, Any]) -> None:
    token = await seeded.user("mary", maintains="qemu-devel.nongnu.org", first_name="Mary")
    (patch,) = await seeded.get("/api/1.0/patches/")
    path = f"/api/1.0/patches/{patch['id']}/?format=json"
    expected = dict(seed)
    for method, change in (
        ("PATCH", {"state": "under-review"}),
        ("PATCH", {"state": "Accepted", "archived": True, "commit_ref": "0123abc"}),
        ("PATCH", {"commit_ref": None}),
        ("PUT", {"state": "new", "delegate": None, "archived": False}),
    ):
        reply = await seeded.ask(path, method, token=token, data=change)
        assert reply.status == 200, reply
        expected |= {name: str(value).lower() if name == "state" else value for name, value in change.items()}
        for answer in (reply.json, await seeded.get(path)):
            shown = as_there(answer, seeded, seed)
            assert order(shown) == order(seed)
            assert without_ids(shown) == without_ids(expected)
    refused = await seeded.ask(path, "PUT", token=token, data={"state": "new"})
    assert (refused.status, refused.json) == (400, {"delegate": ["This field is required."]})
