"""Real mail through the API: every mbox is one that git reads, and the clients show what is there."""

import re
import subprocess
from pathlib import Path

import pytest
from mail.corpus import aspeed, need

from web.clients import Desk
from web.conftest import Json, Site

ASPEED, QEMU = "linux-aspeed.lists.ozlabs.org", "qemu-devel.nongnu.org"


async def walk(site: Site, path: str) -> list[Json]:
    """All rows of a list, by the links to its pages."""
    rows: list[Json] = []
    following: str | None = path
    while following is not None:
        reply = await site.ask(following)
        assert reply.status == 200
        rows += reply.json
        link = reply.header("Link") or ""
        following = link.partition(">")[0].removeprefix(f"<{site.url}") if 'rel="next"' in link else None
    assert len({row["id"] for row in rows}) == len(rows)
    return rows


@pytest.mark.long
async def test_git_reads_every_series(site: Site, tmp_path: Path) -> None:
    """mailsplit, mailinfo and apply --numstat: what `git am` does before it needs the project's files."""
    batch = []
    for _, raw in aspeed(3000):
        batch.append(raw)
        if len(batch) == 100:
            await site.store.put(*batch, list_id=ASPEED)
            batch = []
    tried = 0
    for one in await walk(site, "/api/1.2/series/?per_page=250"):
        if not one["received_all"] or not one["received_total"]:
            continue
        mbox = await site.ask(one["mbox"].removeprefix(site.url))
        folder = tmp_path / str(one["id"])
        folder.mkdir()
        (folder / "mbox").write_bytes(mbox.body)
        split = subprocess.run(
            ["git", "mailsplit", f"-o{folder}", str(folder / "mbox")], capture_output=True, check=True
        )
        count = int(split.stdout)
        assert count == len(one["patches"]), one
        for number in range(1, count + 1):
            info = subprocess.run(
                ["git", "mailinfo", str(folder / "msg"), str(folder / "patch")],
                input=(folder / f"{number:04}").read_bytes(),
                capture_output=True,
                check=True,
            ).stdout.decode()
            assert re.search(r"^Author: .+\nEmail: .+@.+\nSubject: ", info, re.MULTILINE), (one["id"], number, info)
            stat = subprocess.run(
                ["git", "apply", "--numstat", str(folder / "patch")], capture_output=True, check=False, cwd=folder
            )
            assert stat.returncode == 0, (one["id"], number, stat.stderr)
        tried += 1
    assert tried > 150


@pytest.mark.long
async def test_every_page_and_every_thing_of_it(site: Site) -> None:
    for path in sorted(need("corpus", "qemu-devel").glob("*.eml")):
        await site.store.put(path.read_bytes(), list_id=QEMU)
    for version in ("1.0", "1.4"):
        for name in ("patches", "covers", "series", "events"):
            for row in await walk(site, f"/api/{version}/{name}/?per_page=50"):
                for address in (row.get("url"), row.get("mbox")):
                    if address is not None:
                        assert (await site.ask(address.removeprefix(site.url))).status == 200
    for row in await walk(site, "/api/1.3/patches/"):
        for comment in await walk(site, f"/api/1.3/patches/{row['id']}/comments/"):
            assert (await site.ask(comment["url"].removeprefix(site.url))).status == 200
        thread = await site.ask(f"/qemu-devel/{row['msgid'].strip('<>')}/t.mbox.gz")
        assert thread.status == 200


@pytest.mark.long
async def test_clients_show_real_mail(site: Site, programs: Path, tmp_path: Path) -> None:
    for path in sorted(need("corpus", "qemu-devel").glob("*.eml")):
        await site.store.put(path.read_bytes(), list_id=QEMU)
    token = await site.user("mary", maintains=QEMU, email="mary@example.org")
    repository = tmp_path / "repository"
    repository.mkdir()
    subprocess.run(["git", "init", "-q", repository], check=True)
    desk = Desk(programs, tmp_path, repository)
    desk.set_up(site.url, "qemu-devel", token)
    there = await walk(site, "/api/1.2/patches/?per_page=250")
    listed = await desk.run("pwclient", "list")
    assert len(re.findall(r"^\d+ ", listed.out, re.MULTILINE)) == len(there)
    shown = await desk.run("git-pw", "patch", "list", "--format", "csv", "--limit", "250")
    assert len(re.findall(r"^\"?\d+\"?,", shown.out, re.MULTILINE)) == len(there)
    for one in (await walk(site, "/api/1.2/series/"))[:20]:
        await desk.run("git-pw", "series", "show", str(one["id"]))
        if one["received_total"]:
            await desk.run("git-pw", "series", "download", str(one["id"]), str(tmp_path))
    for one in there[:20]:
        await desk.run("git-pw", "patch", "show", str(one["id"]))
        await desk.run("pwclient", "info", str(one["id"]))
    whole = [one for one in await walk(site, "/api/1.2/series/") if one["received_all"] and one["received_total"] > 1]
    for one in whole[:3]:
        done = await desk.run("b4", "am", "-o", str(tmp_path), one["patches"][0]["msgid"].strip("<>"))
        assert f"Total patches: {one['total']}" in done.error
