"""Revisions: which series supersedes which, why, and what a partial re-roll carries over."""

import random
from dataclasses import replace
from datetime import timedelta

from ingestd.series import revise
from ingestd.series.values import CARRIED, Member
from series.made import chain, grouped, mails, revisions, series_of


def test_versions_of_one_title_are_a_chain() -> None:
    assert chain("""
        one    ann 10:00    [PATCH] foo: fix it
        two    ann 1d10:00  [PATCH v2] foo: fix it
        three  ann 2d10:00  [PATCH v3] Foo: fix it!
        other  bob 2d10:00  [PATCH v3] foo: fix it
    """) == ["three < two: title", "two < one: title"]  # fmt: skip


def test_version_that_jumps() -> None:
    assert chain("""
        one    ann 10:00    [PATCH] foo: fix it
        four   ann 1d10:00  [PATCH v4] foo: fix it
    """) == ["four < one: title"]  # fmt: skip


def test_change_id_goes_over_titles_and_people() -> None:
    assert chain("""
        one  ann 10:00 +change=x      [PATCH] foo: fix it
        two  bob 400d10:00 +change=x  [PATCH v2] bar: and now for something else
    """) == ["two < one: change-id"]  # fmt: skip


def test_supersedes_goes_before_all() -> None:
    assert chain("""
        one    ann 10:00                      [PATCH] foo: fix it
        two    ann 1d10:00                    [PATCH v2] foo: fix it
        three  ann 2d10:00 +supersedes=one    [PATCH v3] foo: fix it
    """) == ["three < one: supersedes", "two < one: title"]  # fmt: skip


def test_supersedes_names_any_mail_of_a_series_or_one_that_comes_later() -> None:
    table = """
        new  bob 5d10:00 +supersedes=b   [PATCH v2] other title
        c    ann 10:00                   [PATCH 0/2] add foo
        a    ann 10:01 >c                [PATCH 1/2] foo: prepare
        b    ann 10:02 >c                [PATCH 2/2] foo: enable
    """
    assert chain(table) == ["new < c: supersedes"]


def test_supersedes_in_an_answer() -> None:
    """Patchew's 0032: the word comes in a reply, even of a third person."""
    assert chain("""
        old  ann 10:00                          [PATCH v5] foo: fix it
        new  ann 1d10:00                        [PATCH v6] bar: fix it there
        re   bob 1d11:00 >new +supersedes=old   Re: [PATCH v6] bar: fix it there
    """) == ["new < old: supersedes"]  # fmt: skip


def test_supersedes_starts_anew_at_version_one() -> None:
    assert chain("""
        old  ann 10:00                      [PATCH v5] foo: fix it
        new  ann 1d10:00 +supersedes=old    [PATCH] bar: fix it there
    """) == ["new < old: supersedes"]  # fmt: skip


def test_two_that_supersede_each_other_are_no_circle() -> None:
    assert chain("""
        one  ann 10:00 +supersedes=two      [PATCH v2] foo: fix it
        two  ann 1d10:00 +supersedes=one    [PATCH] foo: fix it
    """) == ["one < two: supersedes"]  # fmt: skip


def test_pull_request_with_supersedes() -> None:
    """Patchew's 0031: another number of patches, another title."""
    assert chain("""
        c1  ann 10:00                       [PULL 00/1] foo queue
        a1  ann 10:01 >c1                   [PULL 01/1] foo
        c2  ann 1d10:00 +supersedes=c1      [PULL 00/2] bar queue
        a2  ann 1d10:01 >c2                 [PULL 01/2] foo
        b2  ann 1d10:02 >c2                 [PULL 02/2] bar
    """) == ["c2 < c1: supersedes"]  # fmt: skip


def test_in_reply_to_where_the_title_is_another() -> None:
    assert chain("""
        c1   ann 10:00        [PATCH 0/1] add foo
        a1   ann 10:01 >c1    [PATCH 1/1] foo
        re   bob 11:00 >c1    Re: [PATCH 0/1] add foo
        c2   ann 2d10:00 >re  [PATCH v2 0/1] foo, take two
        a2   ann 2d10:01 >c2  [PATCH v2 1/1] foo: take two
    """) == ["c2 < c1: in-reply-to"]  # fmt: skip


def test_somebody_elses_patch_in_the_thread_supersedes_nothing() -> None:
    assert not chain("""
        c1  ann 10:00        [PATCH 0/1] add foo
        a1  ann 10:01 >c1    [PATCH 1/1] foo
        x   bob 2d10:00 >c1  [PATCH v2 0/1] foo, my way
        y   bob 2d10:01 >x   [PATCH v2 1/1] foo: my way
    """)


def test_lone_patch_below_a_series_does_not_supersede_it() -> None:
    assert not chain("""
        c1  ann 10:00        [PATCH 0/2] add foo
        a1  ann 10:01 >c1    [PATCH 1/2] foo: prepare
        b1  ann 10:02 >c1    [PATCH 2/2] foo: enable
        x   ann 2d10:00 >b1  [PATCH v2] foo: enable
        y   ann 3d10:00 >c1  [PATCH] bar: by the way
    """)


def test_second_series_in_reply_to_the_first_supersedes_nothing() -> None:
    assert not chain("""
        c1  ann 10:00      [PATCH 0/1] add foo
        a1  ann 10:01 >c1  [PATCH 1/1] foo
        c2  ann 11:00 >c1  [PATCH 0/2] use foo
        a2  ann 11:01 >c2  [PATCH 1/2] bar: use foo
        b2  ann 11:02 >c2  [PATCH 2/2] baz: use foo
    """)


def test_resend_supersedes_the_first_posting() -> None:
    assert chain("""
        one  ann 10:00     [PATCH v3] foo: fix it
        two  ann 9d10:00   [PATCH v3 RESEND] foo: fix it
    """) == ["two < one: title"]  # fmt: skip


def test_rfc_and_then_the_patch() -> None:
    assert chain("""
        one  ann 10:00     [RFC PATCH] foo: fix it
        two  ann 9d10:00   [PATCH] foo: fix it
    """) == ["two < one: title"]  # fmt: skip


def test_same_patch_for_another_tree_is_not_a_second_posting() -> None:
    assert not chain("""
        one  ann 10:00  [PATCH 5.10] foo: fix it
        two  ann 10:01  [PATCH 5.15] foo: fix it
    """)


def test_weekly_pull_requests_are_not_revisions_but_their_versions_are() -> None:
    assert chain("""
        one    ann 10:00      [GIT PULL] foo queue
        two    ann 7d10:00    [GIT PULL] foo queue
        three  ann 8d10:00    [GIT PULL v2] foo queue
    """) == ["three < two: title"]  # fmt: skip


def test_old_version_that_is_dated_much_later() -> None:
    assert not chain("""
        two  ann 10:00      [PATCH v2] foo: fix it
        one  ann 200d10:00  [PATCH] foo: fix it
    """)


def test_date_of_a_newer_version_a_little_before_the_older() -> None:
    """Version first; Dates are wrong by hours (Patchew's 0009 lets the Date rule)."""
    assert chain("""
        one    ann 10:00    [PATCH] foo: fix it
        two    ann 2d10:00  [PATCH v2] foo: fix it
        three  ann 2d08:00  [PATCH v3] foo: fix it
    """) == ["three < two: title", "two < one: title"]  # fmt: skip


def test_cover_title_changes_but_patches_stay() -> None:
    assert chain("""
        c1  ann 10:00        [PATCH 0/3] add foo
        a1  ann 10:01 >c1    [PATCH 1/3] foo: prepare
        b1  ann 10:02 >c1    [PATCH 2/3] foo: split
        d1  ann 10:03 >c1    [PATCH 3/3] foo: enable
        c2  ann 9d10:00      [PATCH v2 0/2] foo support
        a2  ann 9d10:01 >c2  [PATCH v2 1/2] foo: prepare
        b2  ann 9d10:02 >c2  [PATCH v2 2/2] foo: enable
    """) == ["c2 < c1: title"]  # fmt: skip


def test_renamed_patch_with_the_same_diff() -> None:
    assert chain("""
        one  ann 10:00 !same     [PATCH] foo: fix it
        two  ann 9d10:00 !same   [PATCH v2] subsystem: foo: repair it
    """) == ["two < one: patch-id"]  # fmt: skip


def test_forks_are_allowed() -> None:
    assert chain("""
        one    ann 10:00                     [PATCH] foo: fix it
        left   ann 1d10:00 +supersedes=one   [PATCH v2] foo: fix it, left
        right  ann 2d10:00 +supersedes=one   [PATCH v2] foo: fix it, right
    """) == ["left < one: supersedes", "right < one: supersedes"]  # fmt: skip


# --- what a partial re-roll carries ----------------------------------------------------------------------------------

_V1 = """
    c1  ann 10:00      [PATCH 0/3] add foo
    a1  ann 10:01 >c1  [PATCH 1/3] foo: prepare
    b1  ann 10:02 >c1  [PATCH 2/3] foo: split
    d1  ann 10:03 >c1  [PATCH 3/3] foo: enable
"""


def _whole(table: str, key: str) -> dict[int, str]:
    """What one would apply for the series `key`."""
    series = {one.key: one for one in grouped(table).series}
    return series[key].with_carried(_carried(table, key)).effective


def _carried(table: str, key: str) -> tuple[Member, ...]:
    series = grouped(table).series
    # Names in the table are bare, revision keys are not: take both from the mails themselves.
    carried = revisions(series_of(mails(table)).values())[f"{key}@m"].carried
    known = {one.key for one in series}
    assert all(one.posted_in.removesuffix("@m") in known for one in carried)
    return tuple(
        replace(one, key=one.key.removesuffix("@m"), posted_in=one.posted_in.removesuffix("@m")) for one in carried
    )


def test_one_patch_of_v2_below_its_v1() -> None:
    table = _V1 + "b2 ann 1d10:00 >b1 [PATCH v2 2/3] foo: split\n"
    assert _whole(table, "b2") == {1: "a1", 2: "b2", 3: "d1"}
    assert [(one.role, one.posted_in) for one in _carried(table, "b2")] == [(CARRIED, "c1"), (CARRIED, "c1")]
    assert chain(table) == ["b2 < c1: in-reply-to"]
    assert _whole(table, "c1") == {1: "a1", 2: "b1", 3: "d1"}


def test_partial_versions_stand_on_each_other() -> None:
    table = _V1 + """
        b2  ann 1d10:00 >b1  [PATCH v2 2/3] foo: split
        d3  ann 2d10:00 >d1  [PATCH v3 3/3] foo: enable
        b4  ann 3d10:00 >b2  [PATCH v4 2/3] foo: split
    """  # fmt: skip
    assert _whole(table, "d3") == {1: "a1", 2: "b2", 3: "d3"}
    assert _whole(table, "b4") == {1: "a1", 2: "b4", 3: "d3"}


def test_rerolled_patch_is_what_is_carried() -> None:
    table = _V1 + """
        b1.1  ann 15:00 >b1    [PATCH v1.1 2/3] foo: split
        d2    ann 1d10:00 >d1  [PATCH v2 3/3] foo: enable
    """  # fmt: skip
    assert _whole(table, "d2") == {1: "a1", 2: "b1.1", 3: "d2"}


def test_whole_new_version_carries_nothing() -> None:
    table = _V1 + """
        c2  ann 1d10:00 >c1  [PATCH v2 0/3] add foo
        a2  ann 1d10:01 >c2  [PATCH v2 1/3] foo: prepare
        b2  ann 1d10:02 >c2  [PATCH v2 2/3] foo: split
    """  # fmt: skip
    assert _whole(table, "c2") == {1: "a2", 2: "b2"}


def test_partial_posting_with_another_total_carries_nothing() -> None:
    table = _V1 + "b2 ann 1d10:00 >b1 [PATCH v2 2/4] foo: split\n"
    assert _whole(table, "b2") == {2: "b2"}


def test_lone_patch_of_a_version_that_answers_nothing_carries_nothing() -> None:
    """On lists that see only some patches of each version this is no re-roll."""
    series = series_of(mails(_V1 + "b2 ann 9d10:00 [PATCH v2 2/3] foo: split\n"))
    assert revisions(series.values())["b2@m"].carried == ()


def test_marked_reroll_in_a_thread_of_its_own() -> None:
    series = series_of(mails(_V1 + "b2 ann 9d10:00 [PATCH v1.1 2/3] foo: split\n"))
    carried = revisions(series.values())["b2@m"].carried
    assert [(one.number, one.key, one.posted_in) for one in carried] == [(1, "a1@m", "c1@m"), (3, "d1@m", "c1@m")]


def test_replacement_that_names_the_patch_it_supersedes() -> None:
    series = series_of(mails(_V1 + "b2 ann 9d10:00 +supersedes=b1 [PATCH v2 2/3] foo: cleave\n"))
    revision = revisions(series.values())["b2@m"]
    assert (revision.supersedes, revision.evidence) == ("c1@m", "supersedes")
    assert series["b2@m"].with_carried(revision.carried).complete


# --- the contract of revise ------------------------------------------------------------------------------------------


def test_order_repeats_self_and_carried_members_change_nothing() -> None:
    table = _V1 + """
        b2  ann 1d10:00 >b1  [PATCH v2 2/3] foo: split
        d3  ann 2d10:00 >d1  [PATCH v3 3/3] foo: enable
    """  # fmt: skip
    series = list(series_of(mails(table)).values())
    expected = revisions(series)
    assert any(one.carried for one in expected.values())
    written = [one.with_carried(expected[one.key].carried) for one in series]
    rng = random.Random(7)
    for _ in range(20):
        shuffled = [*written, *rng.choices(series, k=3)]
        rng.shuffle(shuffled)
        assert {one.key: revise.revise(one, shuffled) for one in written} == expected


def test_series_that_share_no_key_have_no_say() -> None:
    table = _V1 + "b2 ann 1d10:00 >b1 [PATCH v2 2/3] foo: split\n"
    series = series_of(mails(table))
    strangers = series_of(mails("""
        z  ann 5:00  [PATCH] bar
    """.replace(" 5:", " 05:")))  # fmt: skip
    one = series["b2@m"]
    beside = [other for other in series.values() if set(other.revision_keys) & set(one.revision_keys)]
    assert revise.revise(one, beside) == revise.revise(one, [*beside, *strangers.values()])


def test_replies_and_supersedes_to_ids_of_any_length() -> None:
    long = "x" * 900 + "@m"
    facts = mails("""
        c    ann 10:00                  [PATCH 0/2] add foo
        a    ann 10:01 >c               [PATCH 1/2] foo: prepare
        b    ann 10:02 >c               [PATCH 2/2] foo: enable
        new  ann 1d10:00 >b             [PATCH v2 2/2] bar: another title
        far  bob 9d10:00 +supersedes=b  [PATCH v3] baz
    """)
    facts = [replace(one, message_id=long) if one.message_id == "b@m" else one for one in facts]
    facts = [replace(one, in_reply_to=(long,)) if one.in_reply_to == ("b@m",) else one for one in facts]
    facts = [replace(one, supersedes=(long,)) if one.supersedes else one for one in facts]
    revised = revisions(series_of(facts).values())
    assert (revised["new@m"].supersedes, revised["new@m"].evidence) == ("c@m", "in-reply-to")
    assert [one.key for one in revised["new@m"].carried] == ["a@m"]
    assert (revised["far@m"].supersedes, revised["far@m"].evidence) == ("c@m", "supersedes")


def test_supersedes_that_names_a_reroll() -> None:
    table = _V1 + """
        b1.1  ann 15:00 >b1                    [PATCH v1.1 2/3] foo: split
        far   bob 9d10:00 +supersedes=b1.1     [PATCH v3] baz
    """  # fmt: skip
    assert "far < c1: supersedes" in chain(table)


def test_undated_series_are_ordered_too() -> None:
    series = series_of(mails("""
        one  ann 10:00 +undated    [PATCH] foo: fix it
        two  ann 10:00 +undated    [PATCH v2] foo: fix it
        tri  ann 1d10:00           [PATCH v3] foo: fix it
    """))  # fmt: skip
    revised = revisions(series.values())
    assert (revised["two@m"].supersedes, revised["tri@m"].supersedes) == ("one@m", "two@m")
    assert revised["one@m"].supersedes is None


def test_same_version_posted_again_after_a_long_time_is_not_linked() -> None:
    [series] = series_of(mails("one ann 10:00 [PATCH] foo: fix it")).values()
    assert series.date is not None
    later = replace(series, key="later@m", date=series.date + timedelta(days=200))
    assert revise.revise(later, [series]).supersedes is None
