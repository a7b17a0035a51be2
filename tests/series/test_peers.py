"""What other tools get wrong on real lists, each with the right answer, on mails of our own, bytes to series.

A test is named after what goes wrong; who does it stands in its text. Parallel delivery, where Patchwork makes 1 to
14 series of one and loses mail, and links that resolve late are in tests/store.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from random import Random

from mails import diff, mail, patch, reply

from ingestd.mail.parse import parse
from ingestd.series import fact
from ingestd.series.values import Fact, Series
from series.made import line, revisions, series_of

BOB = "Bob Builder <bob@example.com>"
START = datetime.fromisoformat("2026-11-02T10:00:00+00:00")


def at(minutes: int) -> str:
    """A Date, so long after the first mail."""
    return format_datetime(START + timedelta(minutes=minutes))


def cover(id_: str, subject: str, minutes: int, to: str | None = None, **rest: object) -> bytes:
    return mail(f"{id_}@e.org", subject, "Why.\n", date=at(minutes), reply_to=to and f"{to}@e.org", **rest)  # type: ignore[arg-type]


def part(id_: str, subject: str, minutes: int, to: str | None = None, **rest: object) -> bytes:
    return patch(
        f"{id_}@e.org",
        subject,
        file=f"{id_}.c",
        date=at(minutes),
        reply_to=to and f"{to}@e.org",
        **rest,  # type: ignore[arg-type]
    )


def facts_of(*raws: bytes) -> list[Fact]:
    return [fact.of(parse(raw)) for raw in raws]


def lines(*raws: bytes) -> list[str]:
    """The series of some mails, a line each; the same in other orders."""
    facts = facts_of(*raws)
    found = _lines(facts)
    for seed in range(3):
        Random(seed).shuffle(facts)
        assert _lines(facts) == found
    return found


def _lines(facts: list[Fact]) -> list[str]:
    return [line(one).replace("@e.org", "") for _, one in sorted(series_of(facts).items())]


def effective(*raws: bytes) -> dict[str, tuple[dict[int, str], str | None]]:
    """Key -> (what one would apply, what the series supersedes)."""
    series = series_of(facts_of(*raws))
    revised = revisions(series.values())
    whole: dict[str, Series] = {key: one.with_carried(revised[key].carried) for key, one in series.items()}
    return {
        key.removesuffix("@e.org"): (
            {number: name.removesuffix("@e.org") for number, name in one.effective.items()},
            (revised[key].supersedes or "").removesuffix("@e.org") or None,
        )
        for key, one in sorted(whole.items())
    }


def posted(tag: str, prefix: str, total: int, minutes: int, to: str | None = None, **rest: object) -> list[bytes]:
    """A cover and its patches: ids are the prefix and the number."""
    head = f"{prefix}0"
    return [
        cover(head, f"[{tag} 0/{total}] add foo", minutes, to, **rest),
        *(
            part(f"{prefix}{number}", f"[{tag} {number}/{total}] foo: part {number}", minutes + number, head, **rest)
            for number in range(1, total + 1)
        ),
    ]


# --- b4 on linux-erofs, and the naive rules beside it ----------------------------------------------------------------


def test_re_roll_of_one_patch_is_left_as_one_of_ten() -> None:
    """What Patchew and rules by (root, version, total) leave: "v2, 1 of 10"; b4 completes it, and so do we."""
    found = effective(*posted("PATCH", "a", 4, 0), part("n2", "[PATCH v2 2/4] foo: part 2", 600, "a2"))
    assert found["n2"] == ({1: "a1", 2: "n2", 3: "a3", 4: "a4"}, "a0")
    assert found["a0"] == ({1: "a1", 2: "a2", 3: "a3", 4: "a4"}, None)


def test_stable_notices_are_swallowed_as_patches() -> None:
    """b4 made a series of 27 of one patch and what a stable maintainer says of it."""
    notices = [
        mail(
            f"n{number}@e.org",
            f'Patch "foo: part 1" has been added to the 6.{number}-stable tree',
            f"This is a note to let you know.\n\n{diff()}",
            author="Greg Keeper <greg@example.net>",
            reply_to="a1@e.org",
            date=at(100 + number),
        )
        for number in range(3)
    ]
    assert lines(*posted("PATCH", "a", 1, 0), *notices) == ["a0 series v1 of 1: 0=a0 1=a1"]


def test_somebody_elses_single_patch_is_swallowed() -> None:
    assert lines(*posted("PATCH", "a", 2, 0), part("x", "[PATCH] foo: fix it", 60, "a1", author=BOB)) == [
        "a0 series v1 of 2: 0=a0 1=a1 2=a2",
        "x single v1 of 1: 1=x",
    ]


def test_follow_up_of_the_same_author_is_swallowed() -> None:
    assert lines(*posted("PATCH", "a", 2, 0), part("x", "[PATCH] foo: and this", 60, "a0")) == [
        "a0 series v1 of 2: 0=a0 1=a1 2=a2",
        "x single v1 of 1: 1=x",
    ]


def test_patch_and_its_resend_are_glued_into_two() -> None:
    assert lines(
        part("a", "[PATCH v3] foo", 0),
        part("b", "[PATCH v3 RESEND] foo", 2000, "a"),
    ) == ["a single v3 of 1: 1=a", "b single v3 of 1: 1=b"]


def test_two_postings_of_one_version_and_total_are_mixed() -> None:
    assert lines(*posted("PATCH", "a", 2, 0), *posted("PATCH", "b", 2, 2000, "a0")) == [
        "a0 series v1 of 2: 0=a0 1=a1 2=a2",
        "b0 series v1 of 2: 0=b0 1=b1 2=b2",
    ]


def test_interdiff_is_swallowed() -> None:
    interdiff = mail("i@e.org", "[Interdiff v2~v1] foo", f"What changed.\n\n{diff()}", reply_to="a0@e.org", date=at(60))
    assert lines(*posted("PATCH v2", "a", 2, 0), interdiff) == ["a0 series v2 of 2: 0=a0 1=a1 2=a2"]


def test_patches_of_two_totals_are_mixed() -> None:
    """3/3 and 4/4 in one series."""
    assert lines(
        *posted("PATCH", "a", 3, 0),
        part("b4", "[PATCH 4/4] foo: one more", 600, "a0"),
    ) == ["a0 series v1 of 3: 0=a0 1=a1 2=a2 3=a3", "b4 series v1 of 4: 4=b4"]


def test_patch_without_a_version_gets_that_of_its_parent() -> None:
    assert lines(part("a", "[PATCH v3] foo", 0), part("b", "[PATCH] bar", 2000, "a")) == [
        "a single v3 of 1: 1=a",
        "b single v1 of 1: 1=b",
    ]


def test_series_of_several_people_and_totals_that_nobody_wrote() -> None:
    """b4 grows the total when a slot is taken; 12 of its series are by more than one person."""
    assert lines(
        *posted("PATCH", "a", 2, 0),
        part("x", "[PATCH 2/2] foo: my way", 60, "a2", author=BOB),
    ) == ["a0 series v1 of 2: 0=a0 1=a1 2=a2", "x series v1 of 2: 2=x"]


def test_versions_in_one_thread_are_merged() -> None:
    """A rule by thread root, as of many scripts."""
    assert lines(*posted("PATCH", "a", 2, 0), *posted("PATCH v2", "b", 2, 2000, "a0")) == [
        "a0 series v1 of 2: 0=a0 1=a1 2=a2",
        "b0 series v2 of 2: 0=b0 1=b1 2=b2",
    ]


def test_series_without_cover_is_not_shown() -> None:
    """Patchew, its issue 86, since 2018; a rule by parent splits it: 1/N is the root, not a sibling."""
    assert lines(
        part("a1", "[PATCH 1/3] foo: part 1", 1),
        part("a2", "[PATCH 2/3] foo: part 2", 2, "a1"),
        part("a3", "[PATCH 3/3] foo: part 3", 3, "a1"),
    ) == ["a1 series v1 of 3: 1=a1 2=a2 3=a3"]


def test_each_patch_below_the_one_before_is_incomplete_for_ever() -> None:
    """Patchew: "1 of 2"; a rule by parent sees several parents."""
    assert lines(
        cover("a0", "[PATCH 0/2] add foo", 0),
        part("a1", "[PATCH 1/2] foo: part 1", 1, "a0"),
        part("a2", "[PATCH 2/2] foo: part 2", 2, "a1"),
    ) == ["a0 series v1 of 2: 0=a0 1=a1 2=a2"]


# --- Patchwork: how it makes series ----------------------------------------------------------------------------------


def test_late_version_before_its_cover_joins_the_older_one() -> None:
    """Patchwork's guard is never true (its issue 340): v2 3/3 fills the hole of a v1 that has no 3/3."""
    assert lines(
        part("b3", "[PATCH v2 3/3] foo: part 3", 2003, "a0"),
        cover("a0", "[PATCH 0/3] add foo", 0),
        part("a1", "[PATCH 1/3] foo: part 1", 1, "a0"),
        part("a2", "[PATCH 2/3] foo: part 2", 2, "a0"),
    ) == ["a0 series v1 of 3: 0=a0 1=a1 2=a2", "b3 series v2 of 3: 3=b3"]


def test_two_unthreaded_series_of_one_author_interleave() -> None:
    """Same author, version, total and minutes: only the Message-IDs of the send runs tell them apart."""
    runs = {"20261102100000.11": "foo", "20261102100001.12": "bar"}
    mails = [
        patch(
            f"{run}-{number}-ann@example.org",
            f"[PATCH {number}/3] {topic}: part {number}",
            file=f"{topic}{number}.c",
            date=at(number),
        )
        for number in (1, 2, 3)
        for run, topic in runs.items()
    ]
    for seed in range(5):
        Random(seed).shuffle(mails)
        assert [one.split(" ", 1)[1] for one in lines(*mails)] == [
            f"series v1 of 3: 1={run}-1-ann@example.org 2={run}-2-ann@example.org 3={run}-3-ann@example.org"
            for run in runs
        ]


def test_unthreaded_series_without_a_send_run_interleave() -> None:
    """Nothing but numbers, topics and times: where numbers go on and topics agree."""
    assert lines(
        part("f1", "[PATCH 1/2] foo: part 1", 0),
        part("b1", "[PATCH 1/2] bar: part 1", 1),
        part("f2", "[PATCH 2/2] foo: part 2", 2),
        part("b2", "[PATCH 2/2] bar: part 2", 3),
    ) == ["b1 series v1 of 2: 1=b1 2=b2", "f1 series v1 of 2: 1=f1 2=f2"]


def test_date_and_name_are_those_of_the_mail_that_came_first() -> None:
    """Patchwork: Date of the first to arrive, "Untitled series", name of patch 1 until a cover comes (issue 567)."""
    mails = posted("PATCH v2", "a", 2, 0)
    [one] = series_of(facts_of(*mails[::-1])).values()
    assert (one.name, one.date) == ("add foo", START)
    [bare] = series_of(facts_of(*mails[:0:-1])).values()
    assert (bare.name, bare.date) == ("foo: part 1", START + timedelta(minutes=1))


def test_number_beyond_the_total_completes_a_series() -> None:
    """Patchwork counts patches: 3 of 3 while one is missing."""
    [one] = series_of(
        facts_of(
            cover("a0", "[PATCH 0/3] add foo", 0),
            part("a1", "[PATCH 1/3] foo: part 1", 1, "a0"),
            part("a2", "[PATCH 2/3] foo: part 2", 2, "a0"),
            part("a4", "[PATCH 4/3] foo: part 4", 3, "a0"),
        )
    ).values()
    assert (one.complete, one.missing, sorted(one.posted)) == (False, (3,), [1, 2, 4])


def test_nothing_supersedes_anything() -> None:
    """Patchwork links no versions; Patchew takes every equal title, of anybody."""
    found = effective(
        *posted("PATCH", "a", 2, 0),
        *posted("PATCH v2", "b", 2, 2000),
        *posted("PATCH v2", "x", 2, 3000, author=BOB),
    )
    assert {key: older for key, (_, older) in found.items()} == {"a0": None, "b0": "a0", "x0": None}


def test_marked_re_roll_makes_a_series_one_of_three() -> None:
    """`[PATCH v1.1 2/3]` in reply."""
    assert lines(*posted("PATCH", "a", 3, 0), part("r", "[PATCH v1.1 2/3] foo: part 2", 60, "a2")) == [
        "a0 series v1 of 3: 0=a0 1=a1 2=a2<r 3=a3"
    ]


# --- Patchwork, Patchew: what their users report ---------------------------------------------------------------------


def test_cover_says_v3_and_its_patches_nothing() -> None:
    """Patchwork 105: split into two."""
    mails = posted("PATCH", "a", 2, 0)
    mails[0] = cover("a0", "[PATCH v3 0/2] add foo", 0)
    assert lines(*mails) == ["a0 series v3? of 2: 0=a0 1=a1 2=a2"]


def test_second_series_in_reply_to_the_first_is_merged_into_it() -> None:
    """Patchwork 127: 25 patches, 7 of one and 18 of the other."""
    first, second = posted("PATCH", "a", 7, 0), posted("PATCH", "b", 18, 100, "a3")
    assert [one.split(":")[0] for one in lines(*first, *second)] == ["a0 series v1 of 7", "b0 series v1 of 18"]


def test_marker_without_a_blank() -> None:
    """Patchwork 126: `[PATCH1/8]`."""
    assert lines(*(part(f"a{n}", f"[PATCH{n}/2] foo: part {n}", n, "a1" if n > 1 else None) for n in (1, 2))) == [
        "a1 series v1 of 2: 1=a1 2=a2"
    ]


def test_diff_in_a_reply_becomes_a_patch() -> None:
    """Patchwork 95, sashiko: an answer that carries a diff is an answer."""
    answer = reply("r@e.org", "a1@e.org", "[PATCH 1/2] foo: part 1", f"How about:\n\n{diff()}")
    assert lines(*posted("PATCH", "a", 2, 0), answer) == ["a0 series v1 of 2: 0=a0 1=a1 2=a2"]
    [one] = facts_of(answer)
    assert (one.kind, one.has_diff) == ("reply", True)


def test_one_patch_is_replaced() -> None:
    """Patchwork 633: `v5.1 10/12` becomes a series, 1 of 12; the reporter asks for Supersedes as well."""
    assert lines(*posted("PATCH v5", "a", 12, 0), part("r", "[PATCH v5.1 10/12] foo: part 10", 99, "a10")) == [
        "a0 series v5 of 12: 0=a0 1=a1 2=a2 3=a3 4=a4 5=a5 6=a6 7=a7 8=a8 9=a9 10=a10<r 11=a11 12=a12"
    ]
    said = part("s", "[PATCH v6 2/3] foo: another title", 2000)
    said = said.replace(b"\n---\n", b"\n---\nSupersedes: <a2@e.org>\n", 1)
    found = effective(*posted("PATCH v5", "a", 3, 0), said)
    assert found["s"] == ({1: "a1", 2: "s", 3: "a3"}, "a0")


def test_patch_between_two_numbers() -> None:
    """Freedesktop 97: `[PATCH 0.5/5]` takes nobody's place."""
    assert lines(*posted("PATCH", "a", 5, 0), part("h", "[PATCH 0.5/5] foo: forgotten", 60, "a0")) == [
        "a0 series v1 of 5: 0=a0 1=a1 2=a2 3=a3 4=a4 5=a5",
        "h single v1 of 1: 1=h",
    ]


def test_series_inside_a_thread() -> None:
    """Freedesktop 78: a series in reply to a discussion, and another in reply to a patch of it."""
    question = mail("q@e.org", "foo is slow", "Why?\n", author=BOB, date=at(0))
    assert lines(question, *posted("PATCH", "a", 2, 60, "q"), *posted("RFC PATCH", "b", 3, 600, "a2")) == [
        "a0 series v1 of 2: 0=a0 1=a1 2=a2",
        "b0 series v1 of 3: 0=b0 1=b1 2=b2 3=b3",
    ]


def test_patches_are_listed_as_they_arrived() -> None:
    """Patchwork 386: nobody can apply them one by one."""
    mails = posted("PATCH", "a", 9, 0)
    Random(9).shuffle(mails)
    [one] = series_of(facts_of(*mails)).values()
    assert list(one.effective) == list(range(1, 10))


def test_pull_request_loses_its_patches() -> None:
    """Patchwork 336: every `[PULL 00/n]` of qemu-devel; sashiko makes n singletons of it."""
    request = mail(
        "p0@e.org",
        "[PULL 00/02] foo patches",
        "The following changes since commit 0123456789abcdef0123456789abcdef01234567:\n\n  x\n\n"
        "are available in the Git repository at:\n\n  https://example.org/foo.git tags/pull-foo\n\n"
        "for you to fetch changes up to 89abcdef0123456789abcdef0123456789abcdef:\n",
        date=at(0),
    )
    patches = [part(f"p{n}", f"[PULL 0{n}/02] foo: part {n}", n, "p0") for n in (1, 2)]
    # A maintainer sends what others wrote, with their From in the text.
    patches[1] = patches[1].replace(b"\n\nChange p2.c.", f"\n\nFrom: {BOB}\n\nChange p2.c.".encode(), 1)
    assert lines(request, *patches) == ["p0 pull v1 of 2: 0=p0 1=p1 2=p2"]
    assert [one.author_name for one in facts_of(*patches)] == ["Ann Author", "Bob Builder"]


def test_wrong_order_is_dropped() -> None:
    """Patchew 130."""
    mails = posted("PATCH", "a", 4, 0)
    whole = ["a0 series v1 of 4: 0=a0 1=a1 2=a2 3=a3 4=a4"]
    for seed in range(10):
        Random(seed).shuffle(mails)
        assert lines(*mails) == whole


def test_list_alias_as_sender_makes_everybody_one_person() -> None:
    """Patchwork: munged mails whose Reply-To has no name are all by the person that was named last."""
    facts = [
        replace(one, munged=True, sender_email="list@example.org", sender_name=f"{one.author_name} via list")
        for one in facts_of(
            part("a1", "[PATCH 1/2] foo: part 1", 0),
            part("b2", "[PATCH 2/2] bar: part 2", 1, author=BOB),
        )
    ]
    assert len(series_of(facts)) == 2


def test_patches_of_one_series_fill_the_slots_of_another() -> None:
    """Patchwork: n/16 in the slots of n/19, and a 1/1 that takes slot 1 of six; both series seem complete."""
    assert [
        one.split(":")[0]
        for one in lines(
            *(part(f"a{n}", f"[PATCH {n}/6] foo: part {n}", n, "q") for n in range(2, 7)),
            *(part(f"b{n}", f"[PATCH {n}/9] foo: part {n}", n, "q") for n in range(1, 10)),
            part("x", "[PATCH 1/1] foo: part 1", 0, "q"),
            part("a1", "[PATCH 1/6] foo: part 1", 1, "q"),
        )
    ] == ["a1 series v1 of 6", "b1 series v1 of 9", "x series v1 of 1"]


def test_nine_patches_of_v2_below_the_covers_number_of_v1() -> None:
    """Patchwork: v2, threaded below v1 9/10, is swallowed by it."""
    second = posted("PATCH v2", "b", 9, 2000, "a9")
    assert [one.split(":")[0] for one in lines(*posted("PATCH", "a", 10, 0), *second)] == [
        "a0 series v1 of 10",
        "b0 series v2 of 9",
    ]
