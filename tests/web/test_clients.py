"""git-pw, pwclient and b4 from PyPI, unmodified, against our server: a change of URL is all they need."""

from pathlib import Path

import pytest
from end_to_end.repository import Repository
from mails import patch

from web.clients import Desk
from web.conftest import Site
from web.world import LIST, World


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
async def test_a_closed_site_is_for_those_that_say_who_they_are(
    closed_site: Site, programs: Path, tmp_path: Path
) -> None:
    """git-pw and b4 send their token for all that is Patchwork's; pwclient for writes only, b4 for no thread."""
    await closed_site.store.put(patch("p@example.org", "[PATCH] a closed one", list_id=LIST))
    desk = Desk(programs, tmp_path, Repository(tmp_path / "repository").directory)
    token = await closed_site.user("mary", maintains=LIST)
    desk.set_up(closed_site.url, "demo", token)
    assert "a closed one" in (await desk.run("git-pw", "patch", "list")).out
    assert (await desk.run("git-pw", "series", "download", "1", "-")).out.startswith("From patchwork ")
    script = "import argparse, b4; b4._setup_main_config(argparse.Namespace(config=[], no_interactive=True)); "
    set_state = "b4.patchwork_set_state(['p@example.org'], 'accepted')"
    await desk.run("python", "-c", script + set_state)
    (one,) = (await closed_site.ask("/api/patches/?state=accepted", token=token)).json
    assert one["name"] == "a closed one"
    for command in (("pwclient", "list"), ("pwclient", "info", "1"), ("b4", "mbox", "-o", "-", "p@example.org")):
        refused = await desk.run(*command, check=False)
        assert (refused.status, "a closed one" in refused.out) == (1, False), refused
