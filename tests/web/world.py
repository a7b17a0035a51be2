"""A site with patches on it, and somebody who works with them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from end_to_end.repository import Repository
from mails import patch, reply

from web.clients import Desk

if TYPE_CHECKING:
    from web.conftest import Site

LIST = "demo.example.org"
REVIEW = "Fine.\n\nReviewed-by: Rob Reviewer <rob@example.com>\n"


class World:
    """A site with a series of three real patches, reviewed, and somebody who maintains it."""

    def __init__(self, site: Site, desk: Desk, repository: Repository, tree: str) -> None:
        self.site = site
        self.desk = desk
        self.repository = repository
        self.tree = tree
        self.token = ""
        self.patches: list[int] = []
        self.ids: list[str] = []
        self.series = 0

    async def fill(self, files: list[Path]) -> None:
        mails = [path.read_bytes() for path in files]
        found = [re.search(rb"^Message-I[dD]: <(.*)>$", mail, re.MULTILINE) for mail in mails]
        self.ids = [one[1].decode() for one in found if one]
        review = reply("review@example.com", self.ids[0], "[PATCH 0/3] Say it", REVIEW)
        for mail in [*mails, review]:
            await self.site.store.put(mail, list_id=LIST)
        self.token = await self.site.user(
            "mary", maintains=LIST, email="mary@example.org", first_name="Mary", last_name="Maintainer"
        )
        self.patches = [patch["id"] for patch in await self.site.get("/api/patches/?order=date")]
        (series,) = await self.site.get("/api/series/")
        self.series = series["id"]
        self.desk.set_up(self.site.url, "demo", self.token)

    async def patch(self, number: int) -> dict[str, object]:
        found: dict[str, object] = await self.site.get(f"/api/1.2/patches/{self.patches[number - 1]}/")
        return found

    def head(self) -> str:
        return self.repository.tree

    def reset(self) -> None:
        self.repository.git("checkout", "-q", "-B", "work", "base")

    async def of_bob(self) -> str:
        """Add two patches of somebody else: one that stands alone, one on top of the series. What the latter makes."""
        repository = self.repository
        repository.git("checkout", "-q", "main")
        repository.change(0, "word 0")
        needs = f"Depends-on: <{self.ids[1]}>"
        repository.commit(f"on top of it\n\n{needs}", "--author=Bob Other <bob@example.net>")
        top = b"Message-ID: <top@example.net>\n" + repository.git("format-patch", "-1", "--stdout").partition(b"\n")[2]
        made = repository.tree
        lone = patch(
            "lone@example.net", "[PATCH] a lone one", author="Bob Other <bob@example.net>", file="lone.c",
            date="Sun, 1 Nov 2026 08:00:00 +0000",
        )  # fmt: skip
        await self.site.store.put(lone, top, list_id=LIST)
        self.reset()
        return made
