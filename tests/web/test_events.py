"""Events over the API: each change with its actor, and a cursor that misses nothing while many write."""

import asyncio
import random

from mails import patch, series

from web.conftest import Site

LIST = "demo.example.org"
STEM = "20261102100000.1"


async def told(site: Site, query: str = "") -> list[str]:
    return [one["category"] for one in await site.get(f"/api/1.3/events/?order=date&{query}")]


async def test_each_change_is_an_event_with_its_actor(site: Site) -> None:
    await site.store.put(*series(STEM, 2))
    token = await site.user("mary", maintains=LIST)
    first, second = (one["id"] for one in await site.get("/api/patches/?order=name"))
    start = (await site.get("/api/1.3/events/"))[0]["id"]
    (mary,) = await site.get("/api/users/", token)

    async def change(path: str, method: str = "PATCH", **data: object) -> None:
        reply = await site.ask(f"/api/1.3/{path}", method, token=token, data=data)
        assert reply.status in (200, 201), reply

    await change(f"patches/{first}/", state="accepted", delegate=mary["id"])
    await change(f"patches/{first}/", state="accepted")  # nothing new
    await change(f"patches/{first}/", archived=True)  # nothing that Patchwork tells
    await change(f"patches/{first}/checks/", "POST", state="success", context="build")
    await change(f"patches/{first}/", related=[second])
    events = await site.get(f"/api/1.3/events/?after={start}")
    assert [event["category"] for event in events] == [
        "patch-state-changed", "patch-delegated", "check-created", "patch-relation-changed", "patch-relation-changed",
    ]  # fmt: skip
    assert {event["actor"]["username"] for event in events} == {"mary"}
    assert events[0]["payload"]["previous_state"] == "new"
    assert events[1]["payload"]["current_delegate"]["username"] == "mary"
    assert await told(site, f"patch={second}") == ["patch-created", "patch-completed", "patch-relation-changed"]
    assert await told(site, f"actor={mary['id']}&category=check-created") == ["check-created"]
    assert await told(site, "actor=mary&category=patch-created") == []
    seen = await site.store.ask("SELECT category FROM ingestd_v1.event WHERE actor = 'mary' ORDER BY cursor")
    assert seen.count("patch-changed") == 1


async def test_relations(site: Site) -> None:
    await site.store.put(*(patch(f"p{n}@example.org", f"[PATCH] {n}", file=f"{n}.c") for n in range(5)))
    token = await site.user("mary", maintains=LIST)
    a, b, c, d, e = (one["id"] for one in await site.get("/api/patches/"))

    async def relate(one: int, *others: int) -> int:
        reply = await site.ask(f"/api/1.2/patches/{one}/", "PATCH", token=token, data={"related": list(others)})
        return reply.status

    async def related(one: int) -> list[int]:
        return [other["id"] for other in (await site.get(f"/api/1.2/patches/{one}/"))["related"]]

    assert (await relate(a, b), await relate(c, b), await relate(d, e)) == (200, 200, 200)
    assert (await related(a), await related(c), await related(d)) == ([b, c], [a, b], [e])
    assert await relate(a, d) == 409
    assert await relate(d) == 200
    assert (await related(d), await related(e)) == ([], [])
    assert await relate(b) == 200
    assert await related(a) == [c]
    other = await site.user("olga")
    denied = await site.ask(f"/api/1.2/patches/{a}/", "PATCH", token=other, data={"related": [e]})
    assert denied.status == 403


async def test_who_may_change_what(site: Site) -> None:
    await site.store.put(*series(STEM, 2))
    (one, *_) = await site.get("/api/patches/?order=name")
    path = f"/api/1.3/patches/{one['id']}/"
    author = await site.user("ann", email="Ann@example.org")
    other = await site.user("olga")
    assert (await site.ask(path, "PATCH", token=author, data={"state": "rfc"})).status == 200
    assert (await site.ask(path, "PATCH", token=other, data={"state": "new"})).status == 403
    assert (await site.ask(f"{path}checks/", "POST", token=other, data={"state": "fail"})).status == 403
    assert (await site.ask("/api/1.3/projects/demo/", "PATCH", token=other, data={"web_url": "x"})).status == 403
    assert (await site.ask("/api/1.3/series/1/", "PATCH", token=author, data={"state": "new"})).status == 403
    mary = await site.user("mary", maintains=LIST)
    assert (await site.ask("/api/1.3/series/1/", "PATCH", token=mary, data={"state": "accepted"})).status == 200
    assert {one["state"] for one in await site.get("/api/patches/")} == {"accepted"}
    me = next(user["id"] for user in await site.get("/api/users/", other) if user["username"] == "olga")
    own = f"/api/1.3/users/{me}/"
    changed = await site.ask(own, "PATCH", token=other, data={"first_name": "Olga", "settings": {"show_ids": True}})
    assert (changed.json["first_name"], changed.json["settings"]["show_ids"]) == ("Olga", True)
    assert (await site.ask(own, "PATCH", token=mary, data={"first_name": "x"})).status == 403


async def test_a_reader_that_restarts_misses_nothing_while_many_write(site: Site) -> None:
    """Sixteen writers, mail and triage mixed; the reader asks for little, forgets what it has not kept, goes on."""
    await site.store.put(patch("first@example.org", "[PATCH] first"))
    token = await site.user("mary", maintains=LIST)
    dice = random.Random(7)
    done = 0

    async def write(number: int) -> None:
        nonlocal done
        for step in range(4):
            if number % 2:
                name = f"w{number}-{step}"
                await site.store.put(patch(f"{name}@example.org", f"[PATCH] {name}", file=f"{name}.c"))
            else:
                check = {"state": "success", "context": f"w{number}"}
                path = "/api/1.3/patches/first@example.org/"
                found = await site.get(path)
                reply = await site.ask(f"/api/1.3/patches/{found['id']}/checks/", "POST", token=token, data=check)
                assert reply.status == 201, reply
        done += 1

    kept: list[int] = []

    async def read() -> None:
        cursor, idle = 0, 0
        while idle < 2:
            finished = done == 16
            page = await site.get(f"/api/1.3/events/?after={cursor}&per_page={dice.randrange(1, 9)}")
            new = [event["id"] for event in page]
            if new and dice.random() < 0.3:  # it falls over having worked on some of them
                new = new[: dice.randrange(len(new))]
            kept.extend(new)
            cursor = kept[-1] if kept else 0
            idle = idle + 1 if finished and not page else 0
            await asyncio.sleep(0)

    await asyncio.gather(read(), *(write(number) for number in range(16)))
    categories = ("patch-created", "patch-completed", "check-created", "series-created", "series-completed")
    there = await site.store.ask(
        "SELECT cursor FROM ingestd.event WHERE category = ANY (:categories) ORDER BY cursor",
        categories=list(categories),
    )
    assert kept == there
    assert len(there) == 4 + 8 * 4 * 4 + 8 * 4
