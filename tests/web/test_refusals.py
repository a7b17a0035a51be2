"""What nobody should send, and what comes of it: JSON, a status that says whose mistake it is, and no harm."""

from mails import patch

from web.conftest import Reply, Site

LIST = "demo.example.org"


async def test_a_stranger(filled: Site) -> None:
    (first, *_) = await filled.get("/api/patches/")
    path = f"/api/1.2/patches/{first['id']}/"
    anonymous = await filled.ask(path, "PATCH", data={"state": "accepted"})
    assert (anonymous.status, anonymous.json) == (403, {"detail": "Authentication credentials were not provided."})
    token = await filled.user("mary", maintains=LIST)
    assert (await filled.ask(path, "PATCH", token=token, data={"state": "accepted"})).status == 200
    await filled.change("UPDATE ingestd.token SET revoked_at = now()")
    for method in ("PATCH", "GET"):
        revoked = await filled.ask(path, method, token=token)
        assert (revoked.status, revoked.json) == (403, {"detail": "Invalid token."})
    assert (await filled.get(path))["state"] == "accepted"


async def test_a_body_that_is_too_big(filled: Site) -> None:
    token = await filled.user("mary", maintains=LIST)
    (first, *_) = await filled.get("/api/patches/")
    for one in (token, None):
        big = await filled.ask(
            f"/api/1.2/patches/{first['id']}/",
            "PATCH",
            token=one,
            content=b" " * 10_000_000,
            headers={"Content-Type": "application/json"},
        )
        assert (big.status, big.json) == (413, {"detail": "The request is too big."})


NOTHING = [
        "state=nosuch", "project=nosuch", "submitter=nobody@example.org", "submitter=99", "delegate=nobody", "series=x",
        "series=99999999999999999999", "since=yesterday", "before=%00", "msgid=no@such", "hash=zz", "q=no+such+word",
        "project=%00", "since=99999-01-01", "msgid=%00", "state=%00&state=",
    "project=%1E%0D99", "series=%1F7", "submitter=%1C9",
]  # fmt: skip


async def test_a_filter_that_means_nothing_finds_nothing(filled: Site) -> None:
    for query in NOTHING:
        assert await filled.get(f"/api/1.2/patches/?{query}") == [], query
    for after in ("x", "-1", "1.5", "99999999999999999999"):
        assert await filled.get(f"/api/1.2/events/?after={after}") == [], after
    assert len(await filled.get("/api/1.2/events/?after=")) == len(await filled.get("/api/1.2/events/?after=0")) > 0


async def test_a_word_as_long_as_can_be(filled: Site) -> None:
    """It takes no longer than another: what it costs to look it up grew with the square of its length."""
    name = "x" + "0123456789" * 24
    await filled.store.put(patch("wordy@example.org", f"[PATCH] {name}", file="wordy.c"))
    for word, found in ((name, 1), (name[1:], 1), (f"{name[:-1]}x", 0), (name * 30, 0)):
        assert len(await filled.get(f"/api/1.2/patches/?q={word}")) == found


async def test_an_address_as_long_as_can_be(filled: Site) -> None:
    for address in ("/api/1.2/patches/?q=", "/api/1.2/patches/", "/api/"):
        assert (await filled.ask(address + "x" * (8190 - len(address)))).status in (200, 404)
        longer = await filled.ask(address + "x" * 60_000)
        assert (longer.status, longer.json) == (414, {"detail": "The address is too long."})


async def test_a_page_that_is_not_there(filled: Site) -> None:
    for page in ("0", "99", "-1", "x", "99999999999999999999", "%00"):
        for query in (f"page={page}", f"page={page}&state=nosuch"):
            answer = await filled.ask(f"/api/1.2/patches/?{query}")
            assert (answer.status, answer.json) == (404, {"detail": "Invalid page."}), query


async def test_numbers_with_any_blanks_around_them(filled: Site) -> None:
    (first, *_) = await filled.get("/api/patches/?order=id")
    for blank in ("%20", "%0D", "%1E", "%C2%A0", "%1E%0D"):
        assert (await filled.get(f"/api/patches/{blank}{first['id']}/"))["id"] == first["id"]
        assert await filled.get(f"/api/1.4/events/?project={blank}99999") == []


async def test_errors_are_json(filled: Site) -> None:
    for method, path, status in (
        ("GET", "/api/nosuch/", 404),
        ("GET", "/no/such", 404),
        ("GET", "/api/patches/99/", 404),
        ("GET", "/api/patches/no@such/", 404),
        ("GET", "/api/patches/%00/", 404),
        ("GET", "/api/patches/%1E%0D99/", 404),
        ("GET", "/api/series/99999999999999999999/", 404),
        ("GET", "/api/patches/?format=xml", 404),
        ("DELETE", "/api/patches/1/", 405),
        ("POST", "/project/demo/patch/lone@example.net/mbox/", 405),
        ("BREW", "/api/patches/", 405),
    ):
        answer = await filled.ask(path, method)
        assert (answer.status, list(answer.json)) == (status, ["detail"]), path
    impossible = await filled.ask("/api/patches/", headers={"Accept": "application/xml"})
    assert impossible.status == 406


async def test_what_a_body_may_be(filled: Site) -> None:
    token = await filled.user("mary", maintains=LIST)
    path = "/api/1.2/patches/lone@example.net/"

    async def send(content: bytes, kind: str) -> Reply:
        return await filled.ask(path, "PATCH", token=token, content=content, headers={"Content-Type": kind})

    assert (await send(b"state=accepted&archived=yes", "application/x-www-form-urlencoded")).json["archived"] is True
    part = '--x\r\nContent-Disposition: form-data; name="state"\r\n\r\nrejected\r\n--x--\r\n'
    assert (await send(part.encode(), "multipart/form-data; boundary=x")).json["state"] == "rejected"
    for content, kind, status in (
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"state": 5}', "application/json", 400),
        (b'{"state": null}', "application/json", 400),
        (b'{"state": {}}', "application/json", 400),
        (b'{"commit_ref": "' + b"x" * 256 + b'"}', "application/json", 400),
        (b'{"commit_ref": "\\u0000"}', "application/json", 400),
        (b'{"commit_ref": "\\ud800"}', "application/json", 400),
        (b'{"delegate": true}', "application/json", 400),
        (b'{"delegate": 1e400}', "application/json", 400),
        (b'{"delegate": 99}', "application/json", 400),
        (b'{"related": [99]}', "application/json", 400),
        (b'{"related": 1}', "application/json", 400),
        (b'{"archived": "perhaps"}', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"x", "text/plain", 415),
        (b"x", "multipart/form-data", 400),
    ):
        answer = await send(content, kind)
        assert (answer.status, isinstance(answer.json, dict)) == (status, True), (content[:50], answer)


async def test_what_a_user_may_set(filled: Site) -> None:
    token = await filled.user("mary")
    for said, answer in (
        (0, "Ensure this value is greater than or equal to 1."),
        (-5, "Ensure this value is greater than or equal to 1."),
        (2**31, "Ensure this value is less than or equal to 2147483647."),
        ("9" * 19, "Ensure this value is less than or equal to 2147483647."),
        ("x", "A valid integer is required."),
        (True, "A valid integer is required."),
        (1.5, "A valid integer is required."),
        (None, "A valid integer is required."),
    ):
        data = {"settings": {"items_per_page": said}}
        refused = await filled.ask("/api/1.3/users/1/", "PATCH", token=token, data=data)
        assert (refused.status, refused.json) == (400, {"items_per_page": [answer]}), said
    for said in (50, " 50 "):
        done = await filled.ask("/api/1.3/users/1/", "PATCH", token=token, data={"settings": {"items_per_page": said}})
        assert (done.status, done.json["settings"]["items_per_page"]) == (200, 50)
