"""A real Patchwork's answers are ours, but for what is mended: each difference is written down here."""

import json
import re
from pathlib import Path

import pytest

from web.conftest import Json, Site
from web.recorded import Recorded, timeless

# In the order in which they were asked: reading first.
ORDER = ("v1.", "mbox-", "raw-", "patch-by-id", "redirect-", "options", "err-", "ok-")
HEADERS = ("Content-Disposition", "Allow", "Vary", "Link", "Location")
REVIEWED, ACKED = "Reviewed-by: Rev Iewer <r@x.org>", "Acked-by: Rev Iewer <r@x.org>"


def mended(name: str, body: Json, pull: Json) -> Json:
    """What the answer would have been without the defects that we mend. `pull` is the recorded pull request."""
    if isinstance(body, list):
        return [mended(name, value, pull) for value in body]
    if not isinstance(body, dict):
        return body
    made = {key: mended(name, value, pull) for key, value in body.items()}
    # A series is dated by its cover or first patch, not by what came first.
    if made.get("date") == "2026-04-08T13:02:00" and "/series/435/" in made.get("url", ""):
        made["date"] = "2026-04-08T13:00:00"
    # A pull request has a series with its name and itself in it.
    if "/series/436/" in made.get("url", ""):
        made["name"] = "Misc"
        if "patches" in made:
            made["patches"] = [pull]
    # A change is answered as a look is: `related` is there where it is empty, too.
    if name.startswith("ok-patch-"):
        made = dict(pair for key, value in made.items() for pair in _with_related(key, value))
    return made


def _with_related(key: str, value: Json) -> list[tuple[str, Json]]:
    return [(key, value), ("related", [])] if key == "tags" else [(key, value)]


def mended_mbox(text: str) -> str:
    """The same of an mbox.

    Trailers are a paragraph of their own; one that its sender does not stand for is left out; what a reply says of a
    cover reaches the patches, and so does what is said of the same diff: the three patches have the same one. A header
    is folded as its mail has it.
    """
    text = text.replace(f"msg\n{REVIEWED}\ntested-by: low <l@x>\n", f"msg\n\n{ACKED}\n{REVIEWED}\n")
    if "Message-ID: <dm@x.org>" not in text:
        text = text.replace("msg\n---", f"msg\n\n{ACKED}\n{REVIEWED}\n---")
    text = text.replace(f"Cover body\n{ACKED}", f"Cover body\n\n{ACKED}")
    return text.replace("via qemu development\n <qemu", "via qemu development <qemu")


async def test_every_answer_is_reproduced(site: Site, shared: Path) -> None:
    folder = shared / "recorded"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    recorded = Recorded(site, folder)
    await recorded.set_up()
    recorded.tokens |= {"err-badtoken": "0" * 40, "err-patch-nonmaint": recorded.tokens["other token"]}
    paths = {path.stem: path for path in folder.glob("*.json")}
    assert len(paths) == 98
    different = {}
    for name in sorted(paths, key=lambda name: ([name.startswith(one) for one in ORDER].index(True), name)):
        said = json.loads(paths[name].read_text())
        if said["request"]["json"] == {"delegate": 6}:
            said["request"]["json"] = {"delegate": recorded.ours("users", 6)}
        if found := await compare(recorded, name, said):
            different[name] = found
    assert different == {}, "\n".join(map(str, different.values()))


async def compare(recorded: Recorded, name: str, said: Json) -> list[str]:
    """How our answer differs from the one that is expected."""
    request = said["request"]
    reply = await recorded.site.ask(
        recorded.to_ours(request["path"]),
        request["method"],
        token=recorded.tokens.get(name) or recorded.tokens.get(request["auth"] or ""),
        data=request["json"],
        form=request["form"],
    )
    if name == "redirect-noslash":  # we answer at once
        return [] if reply.status == 200 and len(reply.json) == 1 else [str(reply)]
    if said["body"] == "<html page>" and said["status"] == 404:  # our errors are JSON
        return [] if (reply.status, reply.json) == (404, {"detail": "Not found."}) else [str(reply)]
    found = [] if reply.status == said["status"] else [f"status {reply.status} for {said['status']}"]
    if name.endswith("-series_one"):  # all patches of a series can be changed at once
        assert reply.header("Allow") == "GET, PATCH, HEAD, OPTIONS"
        del said["headers"]["Allow"]
    for header in set(HEADERS) & set(said["headers"]):
        ours, expected = recorded.to_theirs(reply.header(header)), said["headers"][header]
        if name == "ok-check":
            ours, expected = (re.sub(r"\d+/$", "", value) for value in (ours, expected))
        if ours != expected:
            found.append(f"{header}: {ours!r} for {expected!r}")
    if said["status"] != 302:
        found += _compare_bodies(recorded, name, reply.body.decode(), said["body"])
    return found


def _compare_bodies(recorded: Recorded, name: str, text: str, expected: Json) -> list[str]:
    if name.startswith(("mbox-", "raw-")):
        entry = re.sub(r"(?<=X-Patchwork-Id: )\d+", lambda match: recorded.mail(int(match[0])), text)
        return [] if entry == mended_mbox(expected) else [f"{entry!r} for {mended_mbox(expected)!r}"]
    version = name.partition("-")[0]
    pull = recorded.pull(version) if version.startswith("v1.") else None
    ours: Json
    ours, expected = recorded.to_theirs(json.loads(text)), mended(name, timeless(expected), pull)
    if name == "ok-check":  # it is our third and was their fourteenth
        ours, expected = ({**one, "id": 0, "url": ""} for one in (ours, expected))
    if name.endswith("-events"):  # the order in which a mail's events are written is our own
        ours, expected = (sorted(events, key=json.dumps) for events in (ours, expected))
    return [] if json.dumps(ours) == json.dumps(expected) else [f"{ours} for {expected}"]
