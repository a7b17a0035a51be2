"""The answer that a real Patchwork gave for a real mail, from that mail."""

import json
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


async def test_the_document_is_reproduced(seeded: Site, seed: dict[str, Any]) -> None:
    (patch,) = await seeded.get("/api/1.0/patches/")
    answer = await seeded.get(f"/api/1.0/patches/{patch['id']}/?format=json")
    text = json.dumps(answer).replace(seeded.url, "http://patchwork.ozlabs.org").replace("format=json", "format=api")
    ids = {
        f"patches/{patch['id']}/": f"patches/{seed['id']}/",
        f"projects/{patch['project']['id']}/": f"projects/{seed['project']['id']}/",
        f"people/{patch['submitter']['id']}/": f"people/{seed['submitter']['id']}/",
        f"series/{patch['series'][0]['id']}/": f"series/{seed['series'][0]['id']}/",
    }
    for ours, theirs in ids.items():
        text = text.replace(ours, theirs)
    answer = json.loads(text)
    assert order(answer) == order(seed)
    assert without_ids(answer) == without_ids(seed)
