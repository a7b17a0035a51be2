"""Each command of pwclient, with each of its options."""

import re
import shutil
from itertools import pairwise

import pytest
from mails import patch

from ingestd.store.api import accounts
from web.world import LIST, World

OURS = "http://ci.example.org/1"


@pytest.mark.long
async def test_pwclient_lists(world: World) -> None:
    """Each filter of `list`, which is also called `search`."""
    await world.of_bob()
    await world.site.user("bob", maintains=LIST, email="bob@example.net")
    for number, changes in (
        (1, {"state": "accepted", "delegate": 1}),
        (2, {"state": "under-review", "delegate": 2}),
        (3, {"archived": True, "delegate": 2}),
    ):
        path = f"/api/1.2/patches/{world.patches[number - 1]}/"
        assert (await world.site.ask(path, "PATCH", token=world.token, data=changes)).status == 200
    one, two, three = (f"[{number}/3] part {number}: say word" for number in (1, 2, 3))
    lone, top = "a lone one", "on top of it"
    hash_ = str((await world.patch(3))["hash"])
    asked: tuple[tuple[tuple[str, ...], list[str]], ...] = (
        ((), [one, two, three, lone, top]),
        (("-p", "demo"), [one, two, three, lone, top]),
        (("-s", "Under Review"), [two]),
        (("--state", "new"), [three, lone, top]),
        (("-s", "Rejected"), []),
        (("-s", "no such"), []),
        (("-a", "yes"), [three]),
        (("--archived", "no"), [one, two, lone, top]),
        (("-w", "ann@example.org"), [one, two, three]),
        (("--submitter", "BOB@example.net", "-s", "New"), [lone, top]),
        (("-w", "nobody@example.org"), []),
        (("-d", "bob"), [two, three]),
        (("--delegate", "mary", "-a", "no"), [one]),
        (("-d", "nobody"), []),
        (("-m", world.ids[2]), [two]),
        (("--msgid", f"<{world.ids[2]}>"), [two]),
        (("-H", hash_), [three]),
        (("--hash", hash_.upper(), "-S", str(world.series)), [three]),
        (("-S", str(world.series), "-a", "no"), [one, two]),
        (("--series", "99"), []),
    )
    for number, (options, found) in enumerate(asked):
        done = await world.desk.run("pwclient", ("list", "search")[number % 2], "-f", "name=%{name}", *options)
        assert re.findall(r"(?m)^name=(.*)$", done.out) == found, (options, done)
    plain = await world.desk.run("pwclient", "list", "-s", "Accepted")
    assert (
        plain.out == f"ID      State        Name\n--      -----        ----\n{world.patches[0]:<7} accepted     {one}\n"
    )
    grouped = await world.desk.run("pwclient", "list", "-d", "bob")
    assert grouped.out.startswith("Patches delegated to bob:\n")
    fields = ("id", "msgid", "_msgid_", "date", "state", "archived", "submitter", "submitter_id", "delegate",
              "delegate_id", "project", "project_id", "commit_ref", "hash")  # fmt: skip
    shown = await world.desk.run(
        "pwclient", "list", "-m", world.ids[3], "--format", "|".join(f"%{{{x}}}" for x in fields)
    )
    assert shown.out.strip().split("|") == [
        str(world.patches[2]), f"<{world.ids[3]}>", world.ids[3], "2026-11-02T10:04:00", "new", "True",
        "Ann Author <ann@example.org>", "1", "bob", "2", LIST, "1", "", hash_,
    ]  # fmt: skip
    elsewhere = await world.desk.run("pwclient", "list", "-p", "nosuch", check=False)
    assert (elsewhere.status, "No section for project nosuch" in elsewhere.error) == (1, True)


async def test_pwclient_shows_and_gets(world: World) -> None:
    run, first, directory = world.desk.run, str(world.patches[0]), world.repository.directory
    second = str(world.patches[1])
    both = await run("pwclient", "info", first, second)
    for number, id_ in ((1, first), (2, second)):
        for line in (
            f"Information for patch id {id_}",
            f"- name          : [{number}/3] part {number}: say word",
            f"- msgid         : <{world.ids[number]}>",
            "- submitter     : Ann Author <ann@example.org>",
            "- state         : new",
            "- archived      : False",
            "- delegate      :",
            f"- project       : {LIST}",
        ):
            assert line in both.out.splitlines(), (line, both)
    projects = await run("pwclient", "projects")
    assert projects.out.splitlines()[2] == f"1     {'demo':<24} {LIST}"
    mboxes = [
        (await world.site.ask(str((await world.patch(number))["mbox"]).removeprefix(world.site.url))).body.decode()
        for number in (1, 2)
    ]
    viewed = await run("pwclient", "view", first, second)
    assert viewed.out == "\n".join(mboxes)
    alone = await run("pwclient", "view", "99999", first, extra={"PAGER": ""})
    assert alone.out == f"{mboxes[0]}\n"
    for name in ("1-3-part-1-say-word.patch", "1-3-part-1-say-word.0.patch"):  # it overwrites nothing
        got = await run("pwclient", "get", first, second)
        assert f"Saved patch to {name}" in got.out
        assert (directory / name).read_text() == mboxes[0]
    assert (directory / "2-3-part-2-say-word.patch").read_text() == mboxes[1]
    for path in directory.glob("*.patch"):
        path.unlink()
    for command in ("info", "get", "git-am"):
        assert (await run("pwclient", command, "99999", check=False)).status == 1


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs patch")
async def test_pwclient_applies_with_patch(world: World) -> None:
    run, (first, second), directory = world.desk.run, map(str, world.patches[:2]), world.repository.directory
    await run("pwclient", "apply", "-p", "demo", first, second)
    text = (directory / "file.c").read_text()
    assert ("word 1" in text, "word 2" in text, "word 3" in text) == (True, True, False)
    again = await run("pwclient", "apply", first, check=False)
    assert (again.status, "Apply failed with exit status" in again.error) == (1, True)
    assert (await run("pwclient", "apply", "99999", check=False)).status == 1


async def test_pwclient_applies_with_git(world: World) -> None:
    run, git, first = world.desk.run, world.repository.git, str(world.patches[0])

    async def message(*options: str) -> list[str]:
        world.reset()
        await run("pwclient", "git-am", *options, first)
        return git("log", "-1", "--format=%B", "base..").decode().rstrip().splitlines()

    plain = await message()
    assert plain == ["part 1: say word", "", "It was not said.", "", "Reviewed-by: Rob Reviewer <rob@example.com>"]
    signed = "Signed-off-by: Mary Maintainer <mary@example.org>"
    assert await message("-s") == await message("--signoff") == [*plain, signed]
    assert [line.lower() for line in await message("-m")][-1] == f"message-id: <{world.ids[1]}>"
    assert await message("-3") == plain
    said = (world.desk.home / "pwclientrc").read_text()
    (world.desk.home / "pwclientrc").write_text(f"{said}signoff = yes\nmsgid = yes\n3way = yes\n")
    both = await message()
    assert both[-1] == signed
    assert any(line.lower() == f"message-id: <{world.ids[1]}>" for line in both)
    world.reset()
    world.repository.change(2, "another")  # in the patch's context: only with what it was made from can it be applied
    world.repository.commit("in the way")
    (world.desk.home / "pwclientrc").write_text(said)
    failed = await run("pwclient", "git-am", first, check=False)
    assert (failed.status, "'git am' failed with exit status" in failed.error) == (1, True)
    git("am", "--abort")
    await run("pwclient", "git-am", "--3way", first)
    assert git("rev-list", "--count", "base..").strip() == b"2"


async def test_pwclient_writes(world: World) -> None:
    run, first, second = world.desk.run, str(world.patches[0]), str(world.patches[1])
    for options, state, archived, ref in (
        (("-s", "Under Review"), "under-review", False, None),
        (("-s", "Accepted", "-a", "yes", "-c", "abc"), "accepted", True, "abc"),
        (("--state", "not-applicable", "--archived", "no", "--commit-ref", "def"), "not-applicable", False, "def"),
        (("-a", "yes"), "not-applicable", True, "def"),
    ):
        await run("pwclient", "update", *options, first)
        changed = await world.patch(1)
        assert (changed["state"], changed["archived"], changed["commit_ref"]) == (state, archived, ref)
    await run("pwclient", "update", "-p", "demo", "-s", "RFC", first, second)
    assert [(await world.patch(number))["state"] for number in (1, 2, 3)] == ["rfc", "rfc", "new"]
    for arguments in (("-s", "No Such", first), ("-s", "New", "99999"), (first,)):
        assert (await run("pwclient", "update", *arguments, check=False)).status == 1, arguments
    assert (await world.patch(1))["state"] == "rfc"

    await run("pwclient", "check-create", "-c", "build", "-s", "success", "-u", OURS, "-d", "ok, ä", first, second)
    await run("pwclient", "check-create", "-s", "fail", first)
    bob = await world.site.user("bob", maintains=LIST)
    data = {"state": "warning", "context": "lint"}
    await world.site.ask(f"/api/patches/{first}/checks/", "POST", token=bob, data=data)
    assert [(await world.patch(number))["check"] for number in (1, 2, 3)] == ["fail", "success", "pending"]
    name = "[1/3] part 1: say word"
    listed = await run("pwclient", "check-list", first)
    assert [line.split(None, 3)[1:] for line in listed.out.splitlines()[2:]] == [
        ["build", "success", name], ["default", "fail", name], ["lint", "warning", name],
    ]  # fmt: skip
    for who in (("-u", "bob"), ("--user", "2")):
        of_bob = await run("pwclient", "check-list", *who, first)
        assert [line.split()[1] for line in of_bob.out.splitlines()[2:]] == ["lint"]
    (id_, *_) = [str(check["id"]) for check in await world.site.get(f"/api/patches/{first}/checks/")]
    info = (await run("pwclient", "check-info", first, id_)).out
    for line in (
        f"Information for check id {id_}",
        f"- target_url    : {OURS}",
        "- description   : ok, ä",
        "- state         : success",
        "- context       : build",
        "- user          : mary",
        f"- patch_id      : {first}",
    ):
        assert line in info.splitlines(), (line, info)
    got = await run("pwclient", "check-get", first, second)
    assert (got.out.count("- context       : build"), got.out.count("- context       : lint")) == (2, 1)
    shaped = await run("pwclient", "check-get", "-f", "%{context}=%{state}", first)
    assert shaped.out.splitlines() == ["build=success", "default=fail", "lint=warning"]
    for wrong in (("-c", "a b", "-s", "success"), ("-c", "x", "-s", "success", "-u", "no address")):
        refused = await run("pwclient", "check-create", *wrong, first, check=False)
        assert (refused.status, "Request failed" in refused.error) == (1, True)
    assert len(await world.site.get(f"/api/patches/{first}/checks/")) == 3


@pytest.mark.long
async def test_pwclient_events(world: World) -> None:
    run, first = world.desk.run, str(world.patches[0])
    await world.site.store.put(patch("far@example.org", "[PATCH] far", list_id="far.example.org", file="far.c"))
    await run("pwclient", "update", "-s", "Accepted", first)

    async def listed(*options: str) -> list[str]:
        done = await run("pwclient", "event-list", "-f", "%{category}", *options)
        return done.out.split()

    everything = await listed()
    ids = [int(id_) for id_ in (await run("pwclient", "event-list", "--format", "%{id}")).out.split()]
    assert all(later > earlier for later, earlier in pairwise(ids))
    assert everything[0] == "patch-state-changed"
    assert everything.count("patch-created") == 4
    assert (await listed("-p", "demo")).count("patch-created") == 3
    assert await listed("--project", "demo", "--category", "patch-created") == ["patch-created"] * 3
    assert await listed("-c", "patch-state-changed") == ["patch-state-changed"]
    assert await listed("-c", "no-such") == []
    assert await listed("--since", "2999-01-01") == []
    assert await listed("--since", "2020-01-01T00:00:00Z") == everything
    done = await run("pwclient", "event-list", "-p", "demo", "-c", "series-completed", "-f",
                     "%{series_id} %{series_name} %{series_url} %{series_mbox}")  # fmt: skip
    url = world.site.url
    assert done.out == f"{world.series} Say it {url}/api/1.4/series/{world.series}/ {url}/series/{world.series}/mbox/\n"
    plain = await run("pwclient", "event-list", "-p", "demo", "-c", "series-completed")
    assert re.fullmatch(r"\d+ +series-completed +20\S+ +Say it", plain.out.splitlines()[2])


@pytest.mark.long
async def test_pwclient_as_each_may_log_in(world: World) -> None:
    run, first, url = world.desk.run, str(world.patches[0]), world.site.url
    await world.site.user("pat", maintains=LIST, password=accounts.hash_password("correct horse"))
    stranger = await world.site.user("stranger")
    for said, state in (
        ("username = pat\npassword = correct horse\n", "accepted"),
        ("username = pat\npassword = wrong\n", None),
        (f"token = {stranger}\n", None),
        (f"token = {'x' * 40}\n", None),
        ("", None),
    ):
        await world.site.change("UPDATE ingestd.triage SET state = 'new'")
        (world.desk.home / "pwclientrc").write_text(f"[demo]\nbackend = rest\nurl = {url}/api/1.2\n{said}")
        done = await run("pwclient", "update", "-s", "Accepted", first, check=False)
        assert (done.status, (await world.patch(1))["state"]) == ((0, "accepted") if state else (1, "new")), said
        assert "part 1" in (await run("pwclient", "info", first)).out  # reading needs nobody
    for address in (f"{url}/api", f"{url}/api/", f"{url}/api/1.0", f"{url}/xmlrpc/"):
        (world.desk.home / "pwclientrc").write_text(f"[demo]\nurl = {address}\ntoken = {world.token}\n")
        await run("pwclient", "check-create", "-c", "x", "-s", "success", first)
        assert "part 3" in (await run("pwclient", "list")).out
    served = await world.site.ask("/project/demo/pwclientrc/")
    (world.desk.home / "pwclientrc").write_bytes(served.body.replace(b"# token = what `ingestd token create` printed",
                                                                     f"token = {world.token}".encode()))  # fmt: skip
    await run("pwclient", "update", "-s", "RFC", first)
    assert (await world.patch(1))["state"] == "rfc"


@pytest.mark.long
async def test_what_pwclient_cannot_do_with_any_server(world: World) -> None:
    """Its REST backend has not got these: it ends before it asks, or at its own mistake. The server must not care."""
    hash_ = str((await world.patch(1))["hash"])
    for arguments, error in (
        (("list", "-n", "2"), "The max_count parameter is not supported"),
        (("list", "-N", "2"), "The max_count parameter is not supported"),
        (("states",), "The REST API does not expose state objects"),
        (("check-list",), "listing of checks requires a target patch"),
        (("check-info", "1"), "listing of checks requires a target patch"),
        *(((command, "-h", hash_), "has no len()") for command in ("info", "get", "view", "apply", "git-am")),
        (("update", "-h", "-s", "New", hash_), "has no len()"),
        (("check-create", "-h", "-s", "success", hash_), "has no len()"),
        (("check-get", "-h", hash_), "has no len()"),
    ):
        done = await world.desk.run("pwclient", *arguments, check=False)
        assert (done.status, error in done.error) == (1, True), (arguments, done)
    # It takes a name to search for, and says nothing of it to the server.
    listed = await world.desk.run("pwclient", "list", "nothing is called so")
    assert listed.out.count("part") == 3


@pytest.mark.long
async def test_pwclient_follows_the_pages(world: World) -> None:
    for start in range(0, 120, 40):
        await world.site.store.put(
            *(patch(f"many-{n}@x.org", f"[PATCH] one of many {n}", file=f"m{n}.c") for n in range(start, start + 40)),
            list_id=LIST,
        )
    done = await world.desk.run("pwclient", "list", "-w", "ann@example.org")
    assert len(re.findall(r"^\d+ ", done.out, re.MULTILINE)) == 123
