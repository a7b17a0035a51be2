"""git-pw, pwclient and b4 from PyPI, unmodified, against our server: a change of URL is all they need."""

import json
import re
from pathlib import Path

import pytest
from end_to_end.repository import Repository
from mails import patch, reply

from web.clients import Desk, install
from web.conftest import Site

LIST = "demo.example.org"
REVIEW = "Fine.\n\nReviewed-by: Rob Reviewer <rob@example.com>\n"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("clients") / "venv")


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


@pytest.fixture
async def world(site: Site, programs: Path, tmp_path: Path) -> World:
    repository = Repository(tmp_path / "repository")
    repository.commit_three()
    files = repository.format_patch("--thread=shallow", cover=("Say it", "Three times."))
    made = World(site, Desk(programs, tmp_path, repository.directory), repository, repository.tree)
    await made.fill(files)
    made.reset()
    return made


async def test_each_applies_the_series(world: World) -> None:
    run, first = world.desk.run, str(world.patches[0])
    await run("git-pw", "series", "apply", str(world.series))
    assert world.head() == world.tree
    message = world.repository.git("log", "-1", "--format=%an <%ae>%n%B").decode()
    assert message.startswith("Ann Author <ann@example.org>\npart 3: say word\n\nIt was not said.\n")
    assert "\n\nReviewed-by: Rob Reviewer <rob@example.com>\n" in message
    world.reset()
    await run("pwclient", "git-am", *map(str, world.patches))
    assert world.head() == world.tree
    world.reset()
    await run("git-pw", "patch", "apply", str(world.patches[2]))  # with those before it
    assert world.head() == world.tree
    world.reset()
    await run("b4", "shazam", world.ids[0])  # from us alone: no lore anywhere
    assert world.head() == world.tree
    await world.site.change("UPDATE ingestd.triage SET state = 'new'")
    world.reset()
    done = await run("b4", "am", "-k", "-o", str(world.desk.home), world.ids[0])
    assert "Reviewed-by: Rob Reviewer" in done.error, done
    assert (await world.patch(1))["state"] == "under-review"
    (mbox,) = world.desk.home.glob("*.mbx")
    world.repository.git("am", "-q", str(mbox))
    assert world.head() == world.tree
    shown = await run("pwclient", "info", first)
    assert "part 1: say word" in shown.out


@pytest.mark.long
async def test_git_pw(world: World) -> None:
    run, first, home = world.desk.run, str(world.patches[0]), world.desk.home
    await world.site.user("rob", email="rob@example.com")

    async def listed(*options: str) -> list[str]:
        done = await run("git-pw", "patch", "list", "--format", "csv", *options)
        return re.findall(r"part (\d)", done.out)

    assert await listed() == ["3", "2", "1"]
    assert await listed("--sort", "date", "--limit", "2") == ["1", "2"]
    assert await listed("--sort", "date", "--limit", "2", "--page", "2") == ["3"]
    assert await listed("part 2") == ["2"]
    assert await listed("--state", "accepted") == []
    assert await listed("--submitter", "ann@example.org", "--sort", "id") == ["1", "2", "3"]
    assert await listed("--submitter", "Ann Author", "--sort", "id") == ["1", "2", "3"]
    assert await listed("--since", "2026-11-02T10:02:30") == ["3", "2"]
    assert await listed("--before", "2026-11-02T10:02:30") == ["1"]
    assert await listed("--archived") == []
    assert await listed("--hash", str((await world.patch(2))["hash"])) == ["2"]
    shown = await run("git-pw", "patch", "show", first)
    for part in ("[1/3] part 1: say word", world.ids[1], "Ann Author (ann@example.org)", "Say it", "new"):
        assert part in shown.out
    await run("git-pw", "patch", "update", "--state", "accepted", "--commit-ref", "abc123", "--archived", "1",
              "--delegate", "mary", first)  # fmt: skip
    changed = await world.patch(1)
    assert (changed["state"], changed["commit_ref"], changed["archived"]) == ("accepted", "abc123", True)
    assert await listed("--delegate", "mary", "--archived", "--state", "accepted") == ["1"]
    await run("git-pw", "patch", "update", "--state", "new", "--archived", "0", *map(str, world.patches))
    assert [(await world.patch(number))["archived"] for number in (1, 2, 3)] == [False] * 3
    mbox = await run("git-pw", "patch", "download", first, "-")
    assert mbox.out.startswith("From patchwork ")
    await run("git-pw", "patch", "download", first, str(home))
    assert (home / "1-3-part-1-say-word.patch").read_text() == mbox.out
    await run("git-pw", "patch", "download", "--diff", first, str(home))
    assert (home / "1-3-part-1-say-word.diff").read_text().startswith("diff --git ")
    refused = await run("git-pw", "patch", "update", "--state", "no-such", first, check=False)
    assert refused.status != 0

    assert "Say it" in (await run("git-pw", "series", "list", "--format", "csv")).out
    shown = await run("git-pw", "series", "show", str(world.series))
    assert "3 of 3" in shown.out
    await run("git-pw", "series", "download", str(world.series), str(home))
    assert (home / "Say-it.patch").read_text().count("From patchwork ") == 3
    await run("git-pw", "series", "download", "--separate", str(world.series), str(home))
    assert len(list(home.glob("*-part-*.patch"))) == 3

    await run("git-pw", "bundle", "create", "mine", *map(str, world.patches[:2]))
    assert "mine" in (await run("git-pw", "bundle", "list", "--format", "csv")).out
    (bundle,) = await world.site.get("/api/bundles/", world.token)
    id_ = str(bundle["id"])
    assert "part 2" in (await run("git-pw", "bundle", "show", id_)).out
    await run("git-pw", "bundle", "add", id_, str(world.patches[2]))
    assert len((await world.site.get(f"/api/bundles/{id_}/", world.token))["patches"]) == 3
    await run("git-pw", "bundle", "remove", id_, str(world.patches[0]))
    await run("git-pw", "bundle", "update", "--name", "ours", "--public", id_)
    assert (await world.site.get(f"/api/bundles/{id_}/"))["name"] == "ours"
    await run("git-pw", "bundle", "download", id_, str(home))
    await run("git-pw", "bundle", "update", "--patch", first, "--patch", str(world.patches[1]), id_)
    await run("git-pw", "bundle", "apply", id_)
    assert world.repository.git("rev-list", "--count", "base..").decode().strip() == "2"
    await run("git-pw", "bundle", "delete", id_)
    assert await world.site.get("/api/bundles/", world.token) == []


@pytest.mark.long
async def test_pwclient(world: World) -> None:
    run, first = world.desk.run, str(world.patches[0])

    async def listed(*options: str) -> list[str]:
        done = await run("pwclient", "list", *options)
        return re.findall(r"part (\d)", done.out)

    assert await listed() == ["1", "2", "3"]
    assert await listed("-s", "New") == ["1", "2", "3"]
    assert await listed("-s", "Accepted") == []
    assert await listed("-a", "yes") == []
    assert await listed("-w", "ann@example.org") == ["1", "2", "3"]
    assert await listed("-m", world.ids[2]) == ["2"]
    assert await listed("-H", str((await world.patch(3))["hash"])) == ["3"]
    assert await listed("-S", str(world.series)) == ["1", "2", "3"]
    assert "demo" in (await run("pwclient", "projects")).out
    assert "say word" in (await run("pwclient", "view", first)).out
    await run("pwclient", "get", first)
    assert (world.repository.directory / "1-3-part-1-say-word.patch").read_text().startswith("From patchwork ")
    (world.repository.directory / "1-3-part-1-say-word.patch").unlink()
    await run("pwclient", "apply", first)
    assert "word 1" in (world.repository.directory / "file.c").read_text()
    world.repository.git("checkout", "-q", "--", ".")
    await run("pwclient", "update", "-s", "Accepted", "-a", "yes", "-c", "abc", first)
    changed = await world.patch(1)
    assert (changed["state"], changed["commit_ref"], changed["archived"]) == ("accepted", "abc", True)
    await run(
        "pwclient", "check-create", "-c", "build", "-s", "success", "-u", "http://ci.example.org/1", "-d", "ok", first
    )
    await run("pwclient", "check-create", "-c", "lint", "-s", "warning", first)
    assert (await world.patch(1))["check"] == "warning"
    checks = await run("pwclient", "check-list", first)
    assert "build" in checks.out
    assert "lint" in checks.out
    (check, _) = await world.site.get(f"/api/patches/{first}/checks/")
    assert "http://ci.example.org/1" in (await run("pwclient", "check-info", first, str(check["id"]))).out
    assert "build" in (await run("pwclient", "check-get", first)).out
    events = await run("pwclient", "event-list", "-p", "demo", "-c", "series-completed", "--since", "2020-01-01")
    assert str(world.series) in events.out
    await world.site.change("UPDATE ingestd.triage SET archived = false")
    missing = await run("pwclient", "info", "99999", check=False)
    assert missing.status != 0


@pytest.mark.long
async def test_pwclient_follows_the_pages(world: World) -> None:
    for start in range(0, 120, 40):
        await world.site.store.put(
            *(patch(f"many-{n}@x.org", f"[PATCH] one of many {n}", file=f"m{n}.c") for n in range(start, start + 40)),
            list_id=LIST,
        )
    done = await world.desk.run("pwclient", "list", "-w", "ann@example.org")
    assert len(re.findall(r"^\d+ ", done.out, re.MULTILINE)) == 123


@pytest.mark.long
async def test_b4_review(world: World) -> None:
    """What b4's review pane asks, by its own functions."""
    script = """
import argparse, json, sys
import b4
b4._setup_main_config(argparse.Namespace(config=[], no_interactive=True))
from b4.review import _review as review
first, series, patch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
key, url, project = (b4.get_main_config()[name] for name in ("pw-key", "pw-url", "pw-project"))
data = b4.LoreMessage.get_patchwork_data_by_msgid(first)
set_ = b4.patchwork_set_state([first], "accepted")
found = review.pw_fetch_series(key, url, project)
checks = review.pw_fetch_checks(key, url, [patch])
done = review.pw_update_series_state(series, "under-review")
print(json.dumps([data["id"], data["state"], data["check"], found.series, found.outstanding, checks, done]))
"""
    check = {"state": "fail", "context": "lint", "description": "long line"}
    checks = f"/api/1.2/patches/{world.patches[1]}/checks/"
    assert (await world.site.ask(checks, "POST", token=world.token, data=check)).status == 201
    done = await world.desk.run("python", "-c", script, world.ids[1], str(world.series), str(world.patches[1]))
    id_, state, verdict, found, outstanding, told, changed = json.loads(done.out.splitlines()[-1])
    assert (id_, state, verdict) == (world.patches[0], "new", "pending")
    assert outstanding == 2  # one is accepted by now
    (series,) = found
    assert (series["id"], series["name"], series["check"], len(series["patch_ids"])) == (
        world.series,
        "Say it",
        "fail",
        2,
    )
    assert [one["description"] for one in told] == ["long line"]
    assert changed
    assert [(await world.patch(number))["state"] for number in (1, 2, 3)] == ["under-review"] * 3
