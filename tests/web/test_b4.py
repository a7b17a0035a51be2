"""What b4 asks of Patchwork and of public-inbox, both of which we are."""

import json

import pytest

from web.world import World


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
