"""What b4 asks of Patchwork and of public-inbox, both of which we are."""

import asyncio
import email
import json
import mailbox
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from email.message import Message
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mails import mail, reply

from web.clients import Done
from web.world import LIST, World

SINCE = ("--since", "2000-01-01")


async def b4(world: World, *arguments: str, check: bool = True) -> Done:
    """Run b4 as from a terminal, and let it forget what it looked up before."""
    done = await world.desk.run("b4", "--no-stdin", "-n", *arguments, check=check)
    cache = world.desk.home / "cache"
    if cache.exists():
        cache.rename(world.desk.home / f"cache-{len(list(world.desk.home.iterdir()))}")
    return done


async def states(world: World) -> list[object]:
    return [(await world.patch(number))["state"] for number in (1, 2, 3)]


def read(path: Path) -> list[Message]:
    """The mails of an mbox that is there."""
    with closing(mailbox.mbox(path, create=False)) as box:
        return [email.message_from_bytes(box.get_bytes(key)) for key in box.iterkeys()]


def text_of(mail: Message) -> str:
    return str(mail.get_payload())


def subjects(path: Path) -> list[str]:
    return [str(one["Subject"]) for one in read(path)]


PARTS = [f"[PATCH {number}/3] part {number}: say word" for number in (1, 2, 3)]


async def test_b4_am_and_ty(world: World) -> None:
    """From a series on the list to one that is applied and thanked for: Patchwork's states go along."""
    home, out = world.desk.home, world.desk.home / "out"
    world.desk.configure("b4.pw-accept-state", "accepted")
    for number, check in ((1, "success"), (2, "fail"), (3, "warning")):
        path = f"/api/1.2/patches/{world.patches[number - 1]}/checks/"
        data = {"state": check, "context": "ci"}
        assert (await world.site.ask(path, "POST", token=world.token, data=data)).status == 201
    done = await b4(world, "am", "-k", "-o", str(out), world.ids[2])
    links = dict(re.findall(r"patchwork: ([A-Z]+): (\S+)", done.error))
    assert list(links) == ["FAIL", "WARNING"]
    for number, link in ((2, links["FAIL"]), (3, links["WARNING"])):
        page = await world.site.ask(link.removeprefix(world.site.url))
        assert (page.status, page.header("Location")) == (
            302,
            f"/api/1.3/patches/{world.patches[number - 1]}/?format=api",
        )
    assert await states(world) == ["under-review"] * 3
    (mbox,) = out.glob("*.mbx")
    assert subjects(mbox) == PARTS
    assert (out / f"{mbox.stem}.cover").exists()

    assert "1: [PATCH 0/3] Say it" in (await b4(world, "ty", "-l")).error
    assert "Nothing to do" in (await b4(world, "ty", "-a", *SINCE)).error  # it is not applied
    world.repository.git("am", "-q", str(mbox))
    await b4(world, "ty", "-a", *SINCE, "--dry-run", "-o", str(home / "dry"))
    assert await states(world) == ["under-review"] * 3
    await b4(world, "ty", "-a", *SINCE, "-o", str(home / "thanks"))
    assert await states(world) == ["accepted"] * 3
    (thanks,) = (home / "thanks").iterdir()
    for number in (1, 2, 3):
        assert f"[{number}/3] part {number}: say word\n      commit: " in thanks.read_text()


@pytest.mark.long
async def test_b4_ty_for_what_is_chosen(world: World) -> None:
    home = world.desk.home
    world.desk.configure("b4.pw-accept-state", "accepted")
    world.desk.configure("b4.pw-discard-state", "rejected")
    await b4(world, "shazam", world.ids[0])
    for options, state in (
        (("-t", "1", "--pw-set-state", "awaiting-upstream"), "awaiting-upstream"),
        (("-t", "all", "-b", "work"), "accepted"),
        (("-d", "1"), "rejected"),
        (("-d", "all", "--pw-set-state", "superseded"), "superseded"),
    ):
        await b4(world, "am", "-o", str(home / f"again-{state}"), world.ids[0])
        assert await states(world) == ["under-review"] * 3
        await b4(world, "ty", *options, *SINCE, "-o", str(home / f"thanks-{state}"))
        assert await states(world) == [state] * 3
    # Sent by a program of ours that keeps it.
    sink = home / "sink"
    sink.write_text(f"#!/bin/sh\ncat >> {home}/sent\n")
    sink.chmod(0o755)
    world.desk.configure("sendemail.smtpserver", str(sink))
    await b4(world, "am", "-o", str(home / "last"), world.ids[0])
    await b4(world, "ty", "-a", *SINCE, "-S", "--me-too")
    assert "Subject: Re: [PATCH 0/3] Say it" in (home / "sent").read_text()
    assert await states(world) == ["accepted"] * 3


@pytest.mark.long
async def test_b4_without_states(world: World) -> None:
    """Who has not configured any changes none; who may not change them still gets the patches."""
    world.desk.configure("b4.pw-review-state", None)
    await b4(world, "am", "-o", str(world.desk.home / "a"), world.ids[0])
    assert await states(world) == ["new"] * 3
    world.desk.configure("b4.pw-review-state", "under-review")
    world.desk.configure("b4.pw-key", await world.site.user("stranger"))
    await b4(world, "am", "-k", "-o", str(world.desk.home / "b"), world.ids[0])
    assert await states(world) == ["new"] * 3
    world.desk.configure("b4.pw-key", "x" * 40)
    await b4(world, "am", "-k", "-o", str(world.desk.home / "c"), world.ids[0])
    assert [len(subjects(path)) for path in world.desk.home.glob("?/*.mbx")] == [3, 3, 3]


@pytest.mark.long
async def test_b4_takes_what_it_is_told_to(world: World) -> None:
    out, first = world.desk.home / "out", world.ids[1]

    async def am(*options: str) -> list[Message]:
        done = await b4(world, "am", "-o", str(out / str(len(list(out.iterdir())) if out.exists() else 0)), *options)
        path = re.search(r"git am (\S+)", done.error)
        assert path, done
        return read(Path(path[1]))

    for name in (first, f"<{first}>", f"{world.site.url}/project/demo/patch/{first}/",
                 f"{world.site.url}/demo/{first}/"):  # fmt: skip
        assert [one["Subject"] for one in await am(name)] == PARTS
    assert [one["Subject"] for one in await am("-P", "2-3", first)] == PARTS[1:]
    assert [one["Subject"] for one in await am("-P", "_", first)] == PARTS[:1]
    assert [one["Subject"] for one in await am("-P", "*part 3*", first)] == PARTS[2:]
    (one, *_) = await am("-s", "-l", first)
    text = text_of(one)
    for line in (
        "Reviewed-by: Rob Reviewer <rob@example.com>",
        f"Link: {world.site.url}/demo/{first}",
        "Signed-off-by: Mary Maintainer <mary@example.org>",
    ):
        assert line in text.splitlines(), text
    assert "Reviewed-by" not in text_of((await am("-T", first))[0])
    assert f"Message-ID: <{first}>" in text_of((await am("-i", first))[0]).splitlines()
    assert len(await am("--single-message", world.ids[3])) == 1
    absent = await b4(world, "am", "-o", str(out), "nobody@example.org", check=False)
    assert (absent.status, "Could not retrieve thread" in absent.error) == (1, True)

    git = world.repository.git
    for options, revision, commits in ((("-s",), "HEAD", 3), (("-P", "1"), "HEAD", 1), (("-H",), "FETCH_HEAD", 3),
                                       (("-M",), "HEAD", 4)):  # fmt: skip
        world.reset()
        await b4(world, "shazam", *options, first)
        assert int(git("rev-list", "--count", f"base..{revision}")) == commits
        if commits >= 3:
            assert git("rev-parse", f"{revision}^{{tree}}").decode().strip() == world.tree
    assert b'Merge patch series "Say it"' in git("log", "-1", "--format=%s")


@pytest.mark.long
async def test_b4_mbox(world: World) -> None:
    home = world.desk.home
    await b4(world, "mbox", "-o", str(home), "-n", "whole", world.ids[2])
    assert sorted(subjects(home / "whole")) == ["Re: [PATCH 0/3] Say it", "[PATCH 0/3] Say it", *PARTS]
    await b4(world, "mbox", "-o", str(home), "-M", "-n", "dir", world.ids[2])
    assert len(list(mailbox.Maildir(home / "dir"))) == 5
    await b4(world, "mbox", "-o", str(home), "-M", "-f", "-n", "dir", world.ids[2])
    assert len(list(mailbox.Maildir(home / "dir"))) == 5
    one = await b4(world, "mbox", "-o", "-", "--single-message", world.ids[2])
    assert one.out.count("\nMessage-I") == 1


@pytest.mark.long
async def test_b4_with_revisions(world: World) -> None:
    """`diff` between them, `am` of the last or the one that is named, `trailers` for one's own commits."""
    home, repository = world.desk.home, world.repository
    repository.git("checkout", "-q", "-B", "second", "base")
    repository.commit_three("phrase")
    files = repository.format_patch(
        "-v2", "--thread=shallow", f"--in-reply-to={world.ids[0]}", cover=("Say it", "Twice.")
    )
    for path in files:
        await world.site.store.put(path.read_bytes(), list_id=LIST)
    await b4(world, "diff", "-o", str(home / "range"), world.ids[0])
    ranges = (home / "range").read_text()
    for number in (1, 2, 3):
        assert f"    -+word {number}\n    ++phrase {number}\n" in ranges
    for options, found in (((), "phrase"), (("-v", "1"), "word")):
        world.reset()
        await b4(world, "shazam", *options, world.ids[0])
        assert f"{found} 1" in (repository.directory / "file.c").read_text()
    world.reset()
    await b4(world, "shazam", "-v", "1", "-T", world.ids[0])
    assert b"Reviewed-by" not in repository.git("log", "base..")
    await b4(world, "trailers", "-u", "-F", world.ids[0], "--since-commit", "HEAD~2")
    assert repository.git("log", "base..").count(b"Reviewed-by: Rob Reviewer") == 3


async def test_b4_finds_what_is_in_other_threads(world: World) -> None:
    """Newer and older revisions by their author and subject, and reviews of the same diff: public-inbox's search."""
    home, repository = world.desk.home, world.repository
    repository.git("checkout", "-q", "-B", "second", "base")
    repository.commit_three("word")
    repository.change(18, "word 4")
    repository.commit("part 4: say word")
    repository.git("config", "user.email", "ann@example.org")
    await asyncio.sleep(1.1)  # git makes a cover's Message-ID of the second it is
    files = repository.format_patch("-v2", "--thread=shallow", cover=("Say it", "Four times."))
    for path in files:
        await world.site.store.put(path.read_bytes(), list_id=LIST)
    second = re.findall(r"^Message-I[dD]: <(.*)>$", "".join(path.read_text() for path in files), re.MULTILINE)
    acked = reply("acked@example.com", second[1], "Re: [PATCH v2 1/4] x", "Acked-by: Tom <tom@example.com>\n",
        author="Tom <tom@example.com>")  # fmt: skip
    await world.site.store.put(acked, list_id=LIST)

    done = await b4(world, "am", "-c", "-o", str(home / "newest"), world.ids[0])
    (mbox,) = (home / "newest").glob("*.mbx")
    assert subjects(mbox) == [f"[PATCH v2 {number}/4] part {number}: say word" for number in (1, 2, 3, 4)], done.error
    await b4(world, "diff", "-o", str(home / "range"), second[0])
    assert "4:  " in (home / "range").read_text()
    await b4(world, "am", "-o", str(home / "first"), world.ids[0])
    (mbox,) = (home / "first").glob("*.mbx")
    assert "Acked-by: Tom <tom@example.com>" in text_of(read(mbox)[0])
    nothing = await b4(world, "am", "-c", "-o", str(home / "alone"), second[0])
    assert "Server returned an error" not in done.error + nothing.error


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and where it is served over HTTP."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_b4_pr(world: World, served: tuple[Path, str]) -> None:
    folder, url = served
    git, home = world.repository.git, world.desk.home
    git("clone", "-q", "--bare", "--branch", "main", ".", str(folder / "theirs.git"))
    subprocess.run(["git", "--git-dir", folder / "theirs.git", "update-server-info"], check=True)
    asked = git("request-pull", "base", f"{url}/theirs.git", "main").decode()
    await world.site.store.put(mail("pull@example.org", "[GIT PULL] Words", asked), list_id=LIST)

    async def pull() -> dict[str, object]:
        (one,) = await world.site.get("/api/1.2/patches/?msgid=pull@example.org")
        found: dict[str, object] = await world.site.get(f"/api/1.2/patches/{one['id']}/")
        return found

    assert (await pull())["pull_url"] == f"{url}/theirs.git main"
    git("clone", "-q", "--branch", "main", ".", str(home / "clone"))
    git("branch", "-D", "main")
    git("reflog", "expire", "--expire=now", "--all")
    git("gc", "-q", "--prune=now")  # nothing of what is to be pulled is here
    assert "does not appear to be in this tree" in (await b4(world, "pr", "-c", "pull@example.org")).error
    assert (await pull())["state"] == "new"
    await b4(world, "pr", "-b", "pulled", "pull@example.org")
    assert git("rev-parse", "pulled^{tree}").decode().strip() == world.tree
    assert (await pull())["state"] == "under-review"
    await b4(world, "pr", "-e", "-o", str(home / "exploded"), "pull@example.org")
    assert [subject.partition("]")[2] for subject in subjects(home / "exploded")] == [
        " Words", *(f" part {number}: say word" for number in (1, 2, 3))
    ]  # fmt: skip
    assert "Words" in (await b4(world, "ty", "-l")).error
    world.reset()
    git("merge", "-q", "--no-ff", "-m", "merge", "pulled")
    done = await b4(world, "ty", "-a", *SINCE, "-o", str(home / "thanks"), "--pw-set-state", "accepted", check=False)
    assert (done.status, "KeyError: 'patches'" in done.error) == (1, True)  # a mistake of its own, whatever the server


@pytest.mark.long
async def test_b4_tracks_a_series(world: World) -> None:
    await b4(world, "review", "enroll", "-i", "demo")
    done = await b4(world, "review", "track", world.ids[2])
    assert "Tracked series: Say it v1 (3 patches)" in done.error
    assert "already tracked" in (await b4(world, "review", "track", world.ids[0], check=False)).error
    await b4(world, "review", "cron", "--update")


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
review.PW_PER_PAGE = 1  # so that there are pages
paged = review.pw_fetch_series(key, url, project)
assert (paged.series, paged.outstanding, paged.window_days) == (found.series, found.outstanding, None), paged
review.PW_BACKLOG_GATE = 1  # so that it asks for what is new only
review.PW_WINDOW_DAYS = 100_000
assert review.pw_fetch_series(key, url, project).series == found.series
review.PW_WINDOW_DAYS = -1
late = review.pw_fetch_series(key, url, project)
assert (late.series, late.outstanding, late.window_days) == ([], 2, -1), late
checks = review.pw_fetch_checks(key, url, [patch])
from b4.review.checks import _run_builtin_patchwork
from email.message import EmailMessage
mail = EmailMessage()
mail["Message-ID"] = f"<{sys.argv[4]}>"
(summary,) = _run_builtin_patchwork(mail, key, url)
assert (summary["status"], summary["summary"]) == ("fail", "1 fail"), summary
assert review.pw_set_series_state(key, url, [patch, 99999], "rfc", True) == (1, 1)
done = review.pw_update_series_state(series, "under-review")
print(json.dumps([data["id"], data["state"], data["check"], found.series, found.outstanding, checks, done]))
"""
    check = {"state": "fail", "context": "lint", "description": "long line"}
    checks = f"/api/1.2/patches/{world.patches[1]}/checks/"
    assert (await world.site.ask(checks, "POST", token=world.token, data=check)).status == 201
    arguments = (world.ids[1], str(world.series), str(world.patches[1]), world.ids[2])
    done = await world.desk.run("python", "-c", script, *arguments)
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
    assert await states(world) == ["under-review"] * 3
    assert (await world.patch(2))["archived"] is False  # as it was for a moment
