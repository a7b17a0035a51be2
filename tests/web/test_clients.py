"""git-pw, pwclient and b4 from PyPI, unmodified, against our server: a change of URL is all they need."""

from web.world import World


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
