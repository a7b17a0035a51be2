"""Each command of git-pw, with each of its options."""

import asyncio
import csv
import io
import re
from pathlib import Path

import pytest
from mails import patch, series

from ingestd.store.api import accounts
from web.clients import Done
from web.world import LIST, World


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


def names(done: Done) -> list[str]:
    """The second word of each row's name in a list as CSV."""
    return [row["Name"] for row in csv.DictReader(io.StringIO(done.out))]


@pytest.mark.long
async def test_git_pw_lists(world: World) -> None:
    """Each filter of `patch list`, alone and with others."""
    await world.of_bob()
    await world.site.user("bob", maintains=LIST, email="bob@example.net")
    for number, changes in (
        (1, {"state": "accepted"}),
        (2, {"state": "under-review", "delegate": 1}),
        (3, {"archived": True, "delegate": 2}),
    ):
        path = f"/api/1.2/patches/{world.patches[number - 1]}/"
        assert (await world.site.ask(path, "PATCH", token=world.token, data=changes)).status == 200
    hashes = [str((await world.patch(number))["hash"]) for number in (1, 2)]
    one, two, three = (f"[{number}/3] part {number}: say word" for number in (1, 2, 3))
    ann, bob = [person["id"] for person in await world.site.get("/api/1.2/people/?order=id", world.token)][::2]
    lone, top = "a lone one", "on top of it"
    every = ("--state", "new", "--state", "accepted", "--state", "under-review", "--sort", "id")
    await expect(
        world,
        "patch",
        [
            ((), [top, two, lone]),
            (("--state", "new"), [top, lone]),
            (("--state", "new", "--archived"), [three]),
            (("--state", "accepted"), [one]),
            (("--state", "rejected"), []),
            (every, [one, two, lone, top]),
            ((*every, "--archived"), [three]),
            ((*every, "--submitter", "ann@example.org"), [one, two]),
            ((*every, "--submitter", "BOB@example.net"), [lone, top]),
            ((*every, "--submitter", "Bob Other"), [lone, top]),
            ((*every, "--submitter", "bob@"), []),  # an address of its own, to git-pw
            ((*every, "--submitter", str(bob)), [lone, top]),
            ((*every, "--submitter", str(ann), "--submitter", "Bob Other"), [one, two, lone, top]),
            ((*every, "--delegate", "mary"), [two]),
            ((*every, "--delegate", "mary@example.org"), [two]),
            ((*every, "--delegate", "1"), [two]),
            ((*every, "--delegate", "bob", "--archived"), [three]),
            ((*every, "--delegate", "mary", "--delegate", "bob"), [two]),
            ((*every, "--hash", hashes[0]), [one]),
            ((*every, "--hash", hashes[0], "--hash", hashes[1].upper()), [one, two]),
            ((*every, "--hash", "0" * 40), []),
            ((*every, "--since", "2026-11-02"), [one, two, top]),
            ((*every, "--before", "2026-11-02"), [lone]),
            ((*every, "--since", "2026-11-02 10:03:00", "--before", "2026-11-02T10:03:30"), [two]),
            ((*every, "lone"), [lone]),
            ((*every, "PART 2"), [two]),
            ((*every, "--limit", "2"), [one, two]),
            ((*every, "--limit", "2", "--page", "2"), [lone, top]),
            ((*every[:-1], "-id"), [top, lone, two, one]),
            ((*every[:-1], "name"), [one, two, lone, top]),
            ((*every[:-1], "-name"), [top, lone, two, one]),
            ((*every[:-1], "date"), [lone, one, two, top]),
            ((*every[:-1], "-date"), [top, two, one, lone]),
        ],
    )
    refused = await world.desk.run("git-pw", "patch", "list", "--page", "9", check=False)
    assert (refused.status, "Resource not found" in refused.error) == (1, True)
    wrong = await world.desk.run("git-pw", "patch", "list", "--submitter", "Nobody Here")
    assert "No matching submitter found: Nobody Here" in wrong.error


@pytest.mark.long
async def test_git_pw_series_and_bundles_are_found(world: World) -> None:
    await world.of_bob()
    again = series("20261105100000.9", 2, version=2, title="Again", cover=False)
    await world.site.store.put(*again, list_id=LIST)
    say, lone, top, part = "Say it", "a lone one", "on top of it", "Again: part 1"
    people = {one["email"]: str(one["id"]) for one in await world.site.get("/api/1.2/people/", world.token)}
    ann, bob = people["ann@example.org"], people["bob@example.net"]
    await expect(
        world,
        "series",
        [
            ((), [top, say, part, lone]),
            (("Again",), [part]),
            (("nosuch",), []),
            (("--submitter", "bob@example.net"), [top, lone]),
            (("--submitter", "Bob Other", "--sort", "id"), [lone, top]),
            (("--submitter", bob, "--submitter", ann, "--sort", "name"), [part, say, lone, top]),
            (("--since", "2026-11-02", "--before", "2026-11-02T10:02:00"), [part]),
            (("--limit", "1"), [top]),
            (("--limit", "2", "--page", "2"), [part, lone]),
            (("--sort", "-name"), [top, lone, say, part]),
            (("--sort", "date"), [lone, part, say, top]),
            (("--sort", "-id"), [part, top, lone, say]),
        ],
    )
    for name, public in (("ours", True), ("mine", False)):
        done = await world.desk.run(
            "git-pw", "bundle", "create", "--public" if public else "--private", name, str(world.patches[0])
        )
        assert f"Public     | {public}" in done.out
    theirs = await world.site.user("rob", email="rob@example.com")
    for name, public in (("theirs", True), ("hidden", False)):
        data = {"name": name, "public": public, "patches": world.patches[1:]}
        assert (await world.site.ask("/api/1.2/bundles/", "POST", token=theirs, data=data)).status == 201
    await expect(
        world,
        "bundle",
        [
            ((), ["mine", "ours", "theirs"]),
            (("our",), ["ours"]),
            (("--owner", "rob"), ["theirs"]),
            (("--owner", "rob@example.com"), ["theirs"]),
            (("--owner", "1"), ["mine", "ours"]),
            (("--owner", "mary", "--owner", "rob", "--sort", "-name"), ["theirs", "ours", "mine"]),
            (("--sort", "id", "--limit", "1", "--page", "2"), ["mine"]),
            (("--sort", "-id"), ["theirs", "mine", "ours"]),
        ],
    )
    run, home = world.desk.run, world.desk.home
    assert "part 1" in (await run("git-pw", "bundle", "show", "ours")).out  # by its name
    await run("git-pw", "bundle", "download", "theirs", str(home / "theirs.mbox"))
    assert (home / "theirs.mbox").read_text().count("From patchwork ") == 2
    assert (await run("git-pw", "bundle", "download", "ours", "-")).out.count("From patchwork ") == 1
    await run("git-pw", "bundle", "apply", "mine", "--signoff")
    assert "Signed-off-by: Mary Maintainer" in world.repository.git("log", "-1").decode()
    refused = await run("git-pw", "bundle", "remove", "mine", str(world.patches[0]), check=False)
    assert (refused.status, "cannot be empty" in refused.error) == (1, True)
    for command in (("add", "theirs", str(world.patches[0])), ("delete", "3"), ("update", "--private", "3")):
        refused = await run("git-pw", "bundle", *command, check=False)
        assert refused.status == 1, command
    hidden = await run("git-pw", "bundle", "show", "hidden", check=False)
    assert (hidden.status, "No matching bundle found" in hidden.error) == (1, True)


async def expect(world: World, kind: str, asked: list[tuple[tuple[str, ...], list[str]]]) -> None:
    """Run `git-pw KIND list` with each of the options, a few at a time; each must show these names."""
    for start in range(0, len(asked), 4):
        batch = asked[start : start + 4]
        found = await asyncio.gather(
            *(world.desk.run("git-pw", kind, "list", "-f", "csv", *options) for options, _ in batch)
        )
        assert {options: names(done) for (options, _), done in zip(batch, found, strict=True)} == dict(batch)


async def test_git_pw_applies(world: World) -> None:
    made = await world.of_bob()
    run, git = world.desk.run, world.repository.git
    (on_top,) = [one["id"] for one in await world.site.get("/api/1.4/series/?q=top")]
    whole = ("git-pw", "--server", f"{world.site.url}/api/1.4", "series", "apply")  # dependencies are new in 1.4

    async def applied(*command: str, check: bool = True) -> int:
        """How many commits a command makes on the base; -1 where it can make none."""
        world.reset()
        done = await run(*command, check=check)
        if done.status:
            git("am", "--abort")
            return -1
        return int(git("rev-list", "--count", "base.."))

    assert await applied(*whole, "--deps", str(on_top)) == 4
    assert world.head() == made
    assert await applied(*whole, "--no-deps", str(on_top)) == 1
    done = await run(*whole, "--deps", str(world.series), check=False)
    assert "Dependency information was not found" in done.error

    first, third = str(world.patches[0]), str(world.patches[2])
    assert await applied("git-pw", "patch", "apply", third) == 3
    assert world.head() == world.tree
    assert await applied("git-pw", "patch", "apply", "--deps", "--series", str(world.series), third) == 3
    assert await applied("git-pw", "patch", "apply", "--no-deps", third) == 1
    assert await applied("git-pw", "patch", "apply", "--no-deps", first, "--signoff", "--keep-non-patch") == 1
    message = git("log", "-1", "--format=%B").decode()
    assert message.startswith("part 1: say word\n")
    assert message.endswith(
        "Reviewed-by: Rob Reviewer <rob@example.com>\nSigned-off-by: Mary Maintainer <mary@example.org>\n\n"
    )
    assert await applied("git-pw", "series", "apply", str(world.series), "-3", "--message-id") == 3
    assert git("log", "--format=%B", "base..").lower().count(b"\nmessage-id: <") == 3
    world.desk.configure("pw.applyPatchDeps", "false")
    assert await applied("git-pw", "patch", "apply", third) == 1
    assert await applied("git-pw", "patch", "apply", "--deps", third) == 3
    lone = await run("git-pw", "patch", "apply", "--series", str(on_top), third, check=False)  # it is not in it
    assert (lone.status, "Resource not found" in lone.error) == (1, True)


FORMATS = {
    "table": r"\| ID +\| (\d+) +\|",
    "simple": r"(?m)^ID +(\d+)$",
    "csv": r'"ID","(\d+)"',
    "yaml": r"- property: ID\n  value: (\d+)",
}


@pytest.mark.long
async def test_git_pw_in_each_format(world: World) -> None:
    run, first = world.desk.run, str(world.patches[0])
    bundle = await run("git-pw", "bundle", "create", "-f", "csv", "b", first)
    id_ = re.search(r'"ID","(\d+)"', bundle.out)
    assert id_
    shown = ["ID", "Name", "State"]
    columns = [part for column in shown for part in ("-c", column)]
    for name, pattern in FORMATS.items():
        found = await asyncio.gather(
            *(
                run("git-pw", *command, "-f", name)
                for command in (
                    ("patch", "show", first),
                    ("patch", "update", "--state", "new", first),
                    ("series", "show", str(world.series)),
                    ("bundle", "show", id_[1]),
                    ("bundle", "update", "--private", id_[1]),
                    ("bundle", "add", id_[1], first),
                )
            )
        )
        ids = [re.search(pattern, one.out) for one in found]
        assert [one and one[1] for one in ids] == [first, first, str(world.series), id_[1], id_[1], id_[1]], found
        listed = await run("git-pw", "patch", "list", *columns, "-f", name)
        assert re.findall(r"part (\d)", listed.out) == ["3", "2", "1"]
        assert "Submitter" not in listed.out
    world.desk.configure("pw.format", "yaml")
    assert (await run("git-pw", "series", "list", "-c", "ID", "-c", "Version")).out == "- id: 1\n  version: 1\n"


@pytest.mark.long
async def test_git_pw_as_each_may_log_in(world: World) -> None:
    """By token or password; from git's configuration, the options or the environment. Or not at all."""
    await world.site.user(
        "pat", maintains=LIST, email="pat@example.org", password=accounts.hash_password("correct horse")
    )
    run, first, url = world.desk.run, str(world.patches[0]), world.site.url
    update = ("patch", "update", "--state")

    async def refused(*command: str, extra: dict[str, str] | None = None) -> str:
        done = await run("git-pw", *command, check=False, extra=extra)
        assert done.status == 1, done
        return done.error

    world.desk.configure("pw.token", None)
    assert "part 1" in (await run("git-pw", "patch", "list")).out
    assert "Authentication information missing" in await refused(*update, "accepted", first)
    assert "Authentication credentials were not provided" in await refused("patch", "list", "--submitter", "Ann")
    assert "Invalid token." in await refused("--token", "x" * 40, "patch", "list")
    assert "Invalid username/password." in await refused("--username", "pat", "--password", "wrong", "patch", "list")
    for state, options, extra in (
        ("accepted", ("--token", world.token), {}),
        ("rejected", ("--username", "pat", "--password", "correct horse"), {}),
        ("rfc", (), {"PW_TOKEN": world.token}),
        ("deferred", (), {"PW_USERNAME": "pat", "PW_PASSWORD": "correct horse"}),
    ):
        await run("git-pw", *options, *update, state, first, extra=extra)
        assert (await world.patch(1))["state"] == state
    world.desk.configure("pw.username", "pat")
    world.desk.configure("pw.password", "correct horse")
    await run("git-pw", *update, "not-applicable", "--delegate", "pat", first)
    changed = await world.site.get(f"/api/patches/{first}/")
    assert (changed["state"], changed["delegate"]["username"]) == ("not-applicable", "pat")
    assert "part 1" in (await run("git-pw", "patch", "list", "--submitter", "Ann", "--state", "not-applicable")).out
    await world.site.user("stranger")
    token = await world.site.user("other")
    assert "You do not have permission" in await refused("--token", token, *update, "new", first)
    assert "Resource not found" in await refused("patch", "show", "99999")
    assert "No matching delegates found" in await refused("patch", "update", "--delegate", "nobody", first)

    # Which server and project, by each way to say it.
    elsewhere = patch("far@example.org", "[PATCH] far away", list_id="far.example.org")
    await world.site.store.put(elsewhere, list_id="far.example.org")
    for options, extra, there in (
        (("--project", "*"), {}, True),
        (("--project", "far"), {}, True),
        ((), {"PW_PROJECT": "far"}, True),
        ((), {}, False),
        (("--server", f"{url}/api/1.0", "--project", "far"), {}, True),
        (("--server", f"{url}/api/1.4", "--project", "far"), {}, True),
        (("--server", url, "--project", "far"), {}, True),
        (("--project", "far"), {"PW_SERVER": f"{url}/api/1.1/"}, True),
    ):
        listed = await run("git-pw", "--debug", *options, "patch", "list", extra=extra)
        assert ("far away" in listed.out) == there, (options, extra)
    world.desk.configure("pw.states", "new,nobody-knows")
    assert "nobody-knows" in await refused(*update, "nobody-knows", first)


async def test_git_pw_downloads(world: World) -> None:
    run, home = world.desk.run, world.desk.home
    first, own = str(world.patches[0]), home / "own"
    one = await world.site.get(f"/api/1.2/patches/{first}/")
    mbox = (await world.site.ask(one["mbox"].removeprefix(world.site.url))).body
    own.mkdir()
    shown = await run("git-pw", "--debug", "patch", "download", first)  # where it likes
    (path,) = re.findall(r"Downloaded patch to (\S+/1-3-part-1-say-word\.patch)", shown.error)
    assert Path(path).read_bytes() == mbox
    await run("git-pw", "patch", "download", "--mbox", first, str(own / "named"))
    assert (own / "named").read_bytes() == mbox
    await run("git-pw", "patch", "download", "--diff", first, str(own / "diff"))
    await run("git-pw", "patch", "download", "--diff", first, str(own))
    assert (own / "diff").read_text() == (own / "1-3-part-1-say-word.diff").read_text() == one["diff"]
    whole = await run("git-pw", "series", "download", "--combined", str(world.series), "-")
    await run("git-pw", "series", "download", str(world.series), str(own / "series"))
    assert (own / "series").read_text() == whole.out
    assert whole.out.startswith(mbox.decode())
    await run("git-pw", "series", "download", "--separate", str(world.series), str(own))
    assert (own / "1-3-part-1-say-word.patch").read_bytes() == mbox
    assert len(list(own.glob("*-3-part-?-say-word.patch"))) == 3
