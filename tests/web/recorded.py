"""A real Patchwork's answers, and how ours are brought to its ids, host and times to be compared."""

import json
import re
from pathlib import Path
from typing import Any

from web.conftest import Json, Site

KINDS = "patches|covers|series|people|users|projects|bundles|checks|comments|comment"
PROJECT = {
    "name": "QEMU Development",
    "list_archive_url": "https://lists.nongnu.org/archive/html/qemu-devel",
    "list_archive_url_format": "https://lore.kernel.org/qemu-devel/{}/",
}


class Recorded:
    """Our site in the state that the real one was in, and the names of its ids: (kind, our id) -> its id."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.folder = folder
        self.tokens: dict[str, str] = {}
        self.ids: dict[tuple[str, int], int] = {}

    async def set_up(self) -> None:
        """Feed the mails, and do what was done there."""
        site = self.site
        for path in sorted((self.folder / "mails").iterdir()):
            await site.store.put(path.read_bytes())
        await site.change(
            "INSERT INTO ingestd.list (list_id, name, address) VALUES (:id, :name, :address)",
            id="qemu-block.nongnu.org",
            name="QEMU Block",
            address="qemu-block@nongnu.org",
        )
        await site.change(
            "UPDATE ingestd.list SET name = 'QEMU Development', address = 'qemu-devel@nongnu.org' "
            "WHERE list_id = 'qemu-devel.nongnu.org'"
        )
        self.tokens["maintainer token"] = token = await site.user(
            "maint", maintains="qemu-devel.nongnu.org", first_name="Main", last_name="Tainer", email="maint@x.org"
        )
        self.tokens["other token"] = await site.user("plain", email="plain@x.org")
        changes = {name: value for name, value in PROJECT.items() if name != "name"}
        reply = await site.ask("/api/1.3/projects/qemu-devel/", "PATCH", token=token, data=changes)
        assert reply.status == 200, reply
        await self._name()
        patch = self.ours("patches", 753)
        checks = f"/api/1.3/patches/{patch}/checks/"
        build = {"state": "success", "context": "build", "target_url": "http://ci.example.org/1", "description": "ok"}
        for check in (build, {"state": "fail", "context": "lint"}):
            assert (await site.ask(checks, "POST", token=token, data=check)).status == 201
        for change in ({"state": "under-review"}, {"delegate": self.ours("users", 5)}):
            assert (await site.ask(f"/api/1.3/patches/{patch}/", "PATCH", token=token, data=change)).status == 200
        bundle = {"name": "b", "patches": [patch], "public": True}
        assert (await site.ask("/api/1.3/bundles/", "POST", token=token, data=bundle)).status == 201
        await self._name()

    async def _name(self) -> None:
        """Which of our ids is which of theirs."""
        theirs = self._theirs()
        self.ids = {}
        for kind, query in QUERIES.items():
            for own, name in await self.site.store.ask(query):
                if (kind, name) in theirs:
                    self.ids[kind, own] = theirs[kind, name]

    def _theirs(self) -> dict[tuple[str, str], int]:
        """(kind, what it is called) -> its id there."""
        known: dict[tuple[str, str], int] = {("series", "pl-0@x.org"): 436}

        def look(tree: Json) -> None:
            if isinstance(tree, dict):
                kind = next(iter(re.findall(rf"/({KINDS})/\d+/(?:\?|$)", str(tree.get("url", "")))), None)
                if kind in ("patches", "covers", "comments"):
                    known["mails" if kind == "comments" else kind, tree["msgid"].strip("<>")] = tree["id"]
                names = {"people": "email", "users": "username", "projects": "link_name", "bundles": "name"}
                if kind in names:
                    known[kind, tree[names[kind]]] = tree["id"]
                if kind == "checks":
                    known[kind, tree["context"]] = tree["id"]
                if kind == "series" and tree.get("patches"):
                    head = tree["cover_letter"] or tree["patches"][0]
                    known[kind, head["msgid"].strip("<>")] = tree["id"]
                for value in tree.values():
                    look(value)
            elif isinstance(tree, list):
                for value in tree:
                    look(value)

        for path in sorted(self.folder.glob("*.json")):
            look(json.loads(path.read_text())["body"])
        known |= {("comments", name): id_ for (kind, name), id_ in known.items() if kind == "mails"}
        return known

    def ours(self, kind: str, id_: int) -> int:
        """Our id of what has this one there."""
        return next(own for (known, own), theirs in self.ids.items() if (known, theirs) == (kind, id_))

    def mail(self, own: int) -> str:
        """Their id of a patch or cover of ours."""
        return str(self.ids.get(("patches", own)) or self.ids["covers", own])

    def pull(self, version: str) -> Json:
        """The pull request in its short form, in a version."""
        events = json.loads((self.folder / f"{version}-events.json").read_text())["body"]
        payloads = [event["payload"] for event in events if event["category"] == "patch-created"]
        return next(payload["patch"] for payload in payloads if payload["patch"]["id"] == 755)

    def to_ours(self, text: str) -> str:
        """A path of theirs with our ids."""
        theirs = {(kind, id_): own for (kind, own), id_ in self.ids.items()}
        found = re.sub(
            rf"/({KINDS})/(\d+)(?=/)",
            lambda match: f"/{match[1]}/{theirs.get((_kind(match[1]), int(match[2])), match[2])}",
            text,
        )
        return re.sub(r"^/patch/(\d+)/", lambda match: f"/patch/{theirs['patches', int(match[1])]}/", found)

    def to_theirs(self, tree: Json) -> Json:
        """An answer of ours with their ids and host, and without times of the clock."""
        if isinstance(tree, list):
            return [self.to_theirs(value) for value in tree]
        if isinstance(tree, str):
            text = tree.replace(self.site.url, "http://HOST")
            text = re.sub(r"\?series=(\d+)$", lambda match: f"?series={self.ids['series', int(match[1])]}", text)
            return re.sub(
                rf"/({KINDS})/(\d+)(?=/)",
                lambda match: f"/{match[1]}/{self.ids.get((_kind(match[1]), int(match[2])), match[2])}",
                text,
            )
        if not isinstance(tree, dict):
            return tree
        made: dict[str, Any] = {name: self.to_theirs(value) for name, value in tree.items()}
        if "url" in made and "id" in made:
            made["id"] = int(re.findall(r"/(\d+)/(?:\?|$)", made["url"])[0])
        elif "msgid" in made:
            made["id"] = self.ids.get(("comments", tree["id"]), tree["id"])
        return timeless(made)


def _kind(said: str) -> str:
    return "comments" if said == "comment" else said


def timeless(tree: Json) -> Json:
    """Without times of the clock, and the numbers of events."""
    if isinstance(tree, list):
        return [timeless(value) for value in tree]
    if not isinstance(tree, dict):
        return tree
    made = {name: timeless(value) for name, value in tree.items()}
    if "category" in made and "payload" in made:
        made["id"] = 0
    if "." in str(made.get("date", "")):
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", made["date"])
        made["date"] = "now"
    return made


QUERIES = {
    "patches": "SELECT t.message, m.message_id FROM ingestd.triage t JOIN ingestd.message m ON m.id = t.message",
    "covers": "SELECT id, message_id FROM ingestd.message WHERE kind = 'cover'",
    "comments": "SELECT id, message_id FROM ingestd.message WHERE kind = 'reply'",
    "people": "SELECT id, email FROM ingestd.person",
    "users": "SELECT id, username FROM ingestd.account",
    "projects": "SELECT list, link_name FROM ingestd.project",
    "series": "SELECT id, key FROM ingestd.series",
    "checks": "SELECT id, context FROM ingestd.patch_check",
    "bundles": "SELECT id, name FROM ingestd.bundle",
}
