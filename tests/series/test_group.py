"""One rule a test: which mails of a thread are a series, and which never are."""

import random

from ingestd.series import group
from series.made import grouped, lines, mails, series_of

# --- how series are sent ---------------------------------------------------------------------------------------------


def test_cover_with_patches_below_it() -> None:
    thread = grouped("""
        c    ann 10:00     [PATCH v2 0/2] add foo
        one  ann 10:01 >c  [PATCH v2 1/2] foo: prepare
        two  ann 10:02 >c  [PATCH v2 2/2] foo: enable
        re   bob 12:00 >one Re: [PATCH v2 1/2] foo: prepare
    """)
    assert lines(thread) == ["c series v2 of 2: 0=c 1=one 2=two"]
    [series] = thread.series
    assert series.name == "add foo"
    assert series.complete
    assert series.missing == ()
    assert (series.author_name, series.author_email) == ("Ann", "ann@example.org")
    assert thread.parents == {"c": None, "one": "c", "two": "c", "re": "one"}


def test_without_cover_below_the_first_patch() -> None:
    thread = grouped("""
        one    ann 10:01       [PATCH 1/3] foo: prepare
        two    ann 10:02 >one  [PATCH 2/3] foo: split
        three  ann 10:03 >one  [PATCH 3/3] foo: enable
    """)
    assert lines(thread) == ["one series v1 of 3: 1=one 2=two 3=three"]
    assert thread.series[0].name == "foo: prepare"


def test_each_patch_below_the_one_before() -> None:
    thread = grouped("""
        c      ann 10:00                [PATCH 0/3] add foo
        one    ann 10:01 >c             [PATCH 1/3] foo: prepare
        two    ann 10:02 >one ~c ~one   [PATCH 2/3] foo: split
        three  ann 10:03 >two ~c ~two   [PATCH 3/3] foo: enable
    """)
    assert lines(thread) == ["c series v1 of 3: 0=c 1=one 2=two 3=three"]


def test_below_a_cover_that_is_not_here() -> None:
    thread = grouped("""
        one    ann 10:01 >gone  [PATCH 1/3] foo: prepare
        three  ann 10:03 >gone  [PATCH 3/3] foo: enable
    """)
    assert lines(thread) == ["one series v1 of 3: 1=one 3=three"]
    assert thread.series[0].missing == (2,)
    assert not thread.series[0].complete


def test_only_a_late_patch_is_here() -> None:
    assert lines(grouped("x ann 10:00 >gone [PATCH 17/42] foo")) == ["x series v1 of 42: 17=x"]


def test_unthreaded_but_one_send_run() -> None:
    thread = grouped("""
        20260401100000.77-1-ann@example.org  ann 10:00  [PATCH 0/2] add foo
        20260401100000.77-2-ann@example.org  ann 10:01  [PATCH 1/2] foo: prepare
        20260401100000.77-3-ann@example.org  ann 10:50  [PATCH 2/2] foo: enable
    """)
    assert [series.total for series in thread.series] == [2]
    assert thread.series[0].complete


def test_unthreaded_one_run_a_mail() -> None:
    thread = grouped("""
        c    ann 10:00  [PATCH v2 0/2] add foo
        one  ann 10:06  [PATCH v2 1/2] foo: prepare
        two  ann 10:20  [PATCH v2 2/2] foo: enable
    """)
    assert lines(thread) == ["c series v2 of 2: 0=c 1=one 2=two"]


def test_unthreaded_and_far_apart_is_not_one() -> None:
    series = series_of(
        mails("""
        one  ann 10:00     [PATCH 1/2] foo: prepare
        two  ann 1d10:00   [PATCH 2/2] foo: enable
    """)
    )
    assert sorted(series) == ["one@m", "two@m"]


def test_unthreaded_of_another_tree_or_person_is_not_one() -> None:
    series = series_of(
        mails("""
        one    ann 10:00  [PATCH net 1/2] foo: prepare
        two    ann 10:01  [PATCH net-next 2/2] foo: enable
        three  bob 10:01  [PATCH net 2/2] foo: enable
    """)
    )
    assert sorted(series) == ["one@m", "three@m", "two@m"]


def test_two_unthreaded_series_of_one_author_interleaved() -> None:
    """Patchwork mixes them; send runs tell them apart, and so do topics where there are no runs."""
    thread = grouped("""
        20260401100000.77-1-ann@example.org  ann 10:00:00  [PATCH 1/2] foo: prepare
        20260401100001.99-1-ann@example.org  ann 10:00:01  [PATCH 1/2] bar: prepare
        20260401100000.77-2-ann@example.org  ann 10:00:02  [PATCH 2/2] foo: enable
        20260401100001.99-2-ann@example.org  ann 10:00:03  [PATCH 2/2] bar: enable
    """)
    assert [list(series.posted.values()) for series in thread.series] == [
        [("20260401100000.77-1-ann@example.org",), ("20260401100000.77-2-ann@example.org",)],
        [("20260401100001.99-1-ann@example.org",), ("20260401100001.99-2-ann@example.org",)],
    ]
    thread = grouped("""
        foo1  ann 10:00:00  [PATCH 1/2] foo: prepare
        bar1  ann 10:00:01  [PATCH 1/2] bar: prepare
        bar2  ann 10:00:02  [PATCH 2/2] bar: enable
        foo2  ann 10:00:03  [PATCH 2/2] foo: enable
    """)
    assert lines(thread) == ["bar1 series v1 of 2: 1=bar1 2=bar2", "foo1 series v1 of 2: 1=foo1 2=foo2"]


def test_one_send_run_with_several_series() -> None:
    run = "20260401100000.77-{}-ann@example.org"
    subjects = ["0/2", "1/2", "2/2", "1/2", "2/2", "1/3"]
    facts = mails("\n".join(f"{run.format(i + 1)} ann 10:00 [PATCH {n}] t{i}" for i, n in enumerate(subjects)))
    assert [len(series.posted) for series in group.group(facts).series] == [2, 2, 1]


def test_send_run_with_gaps_on_this_list() -> None:
    """Only some patches were sent here; place in the run and number rise together, so it is one series."""
    thread = grouped("""
        20260401100000.77-107-ann@example.org  ann 10:00  [PATCH AUTOSEL 145/350] foo
        20260401100000.77-114-ann@example.org  ann 10:01  [PATCH AUTOSEL 152/350] bar
    """)
    assert [list(series.posted) for series in thread.series] == [[145, 152]]


def test_rest_of_a_series_sent_by_a_second_run() -> None:
    thread = grouped("""
        20260401100000.77-1-ann@example.org  ann 10:00                                        [PATCH 0/3] add foo
        20260401100000.77-2-ann@example.org  ann 10:01 >20260401100000.77-1-ann@example.org   [PATCH 1/3] one
        20260401100500.99-1-ann@example.org  ann 1d10:05 >20260401100000.77-1-ann@example.org [PATCH 2/3] two
        20260401100500.99-2-ann@example.org  ann 1d10:06 >20260401100000.77-1-ann@example.org [PATCH 3/3] three
    """)
    assert [(series.complete, series.total) for series in thread.series] == [(True, 3)]


def test_mail_system_that_gives_new_ids_and_tells_the_old_ones() -> None:
    thread = grouped("""
        g1     ann 10:00 +former=20260401100000.77-1-Ann                            [PATCH 1/2] foo: prepare
        g2     ann 10:01 +former=20260401100000.77-2-Ann >20260401100000.77-1-Ann   [PATCH 2/2] foo: enable
    """)
    assert lines(thread) == ["g1 series v1 of 2: 1=g1 2=g2"]
    assert thread.parents["g2"] == "g1"


def test_several_authors_in_one_run_and_a_list_in_from() -> None:
    thread = grouped("""
        c      ann      10:00     [PATCH 0/3] add foo
        one    ann/bob  10:01 >c  [PATCH 1/3] foo: prepare
        two    ann@list 10:02 >c  [PATCH 2/3] foo: split
        three  ann/eve  10:03 >c  [PATCH 3/3] foo: enable
    """)
    assert lines(thread) == ["c series v1 of 3: 0=c 1=one 2=two 3=three"]
    assert thread.series[0].author_email == "ann@example.org"


def test_series_of_a_munged_sender_is_the_authors() -> None:
    thread = grouped("""
        c    ann@list 10:00     [PATCH 0/1] add foo
        one  ann@list 10:01 >c  [PATCH 1/1] foo
    """)
    assert [(one.author_name, one.author_email) for one in thread.series] == [("Ann", "ann@example.org")]


def test_tags_may_differ_within_a_series() -> None:
    thread = grouped("""
        c    ann 10:00     [RFC PATCH 0/2] add foo
        one  ann 10:01 >c  [RFC PATCH net-next 1/2] foo: prepare
        two  ann 10:02 >c  [PATCH 2/2] foo: enable
    """)
    assert lines(thread) == ["c series v1 of 2: 0=c 1=one 2=two"]


# --- versions and totals that disagree -------------------------------------------------------------------------------


def test_version_that_only_the_cover_says() -> None:
    thread = grouped("""
        c    ann 10:00     [PATCH v3 0/2] add foo
        one  ann 10:01 >c  [PATCH 1/2] foo: prepare
        two  ann 10:02 >c  [PATCH 2/2] foo: enable
    """)
    assert lines(thread) == ["c series v3? of 2: 0=c 1=one 2=two"]


def test_version_that_the_cover_forgets_or_has_wrong() -> None:
    for said in ("", "v5 "):
        thread = grouped(f"""
            c    ann 10:00     [PATCH {said}0/2] add foo
            one  ann 10:01 >c  [PATCH v6 1/2] foo: prepare
            two  ann 10:02 >c  [PATCH v6 2/2] foo: enable
        """)
        assert lines(thread) == ["c series v6 of 2: 0=c 1=one 2=two"]


def test_total_that_the_cover_has_wrong() -> None:
    thread = grouped("""
        c    ann 10:00     [PATCH v2 0/3] add foo
        one  ann 10:01 >c  [PATCH v2 1/2] foo: prepare
        two  ann 10:02 >c  [PATCH v2 2/2] foo: enable
    """)
    assert lines(thread) == ["c series v2 of 2: 0=c 1=one 2=two"]


def test_mistyped_cover_within_a_run() -> None:
    """A stray 1/1 right behind the cover takes no slot from the real 1/2 (Patchwork throws that one out)."""
    run = "20260401100000.77-{}-ann@example.org"
    subjects = ["v4 0/2", "v4 1/1", "v4 1/2", "v4 2/2"]
    facts = mails(
        "\n".join(
            f"{run.format(i + 1)} ann 10:00:{i:02} {'>' + run.format(1) if i else ''} [PATCH {n}] t{i}"
            for i, n in enumerate(subjects)
        )
    )
    found = {len(series.posted): series for series in group.group(facts).series}
    assert found[2].cover == run.format(1)
    assert found[2].complete
    assert found[1].key == run.format(2)


def test_number_beyond_the_total() -> None:
    thread = grouped("""
        c    ann 10:00     [PATCH 0/2] add foo
        one  ann 10:01 >c  [PATCH 1/2] foo: prepare
        two  ann 10:02 >c  [PATCH 2/2] foo: enable
        six  ann 10:03 >c  [PATCH 3/2] foo: document
    """)
    assert lines(thread) == ["c series v1 of 2: 0=c 1=one 2=two 3=six"]
    assert thread.series[0].complete


def test_number_beyond_the_total_completes_nothing() -> None:
    thread = grouped("""
        one  ann 10:01       [PATCH 1/2] foo: prepare
        six  ann 10:03 >one  [PATCH 3/2] foo: document
    """)
    assert thread.series[0].missing == (2,)
    assert not thread.series[0].complete


def test_copy_of_a_patch_under_another_id() -> None:
    """A relay sent it twice, each time with an id of its own."""
    thread = grouped("""
        c      ann 10:00             [PATCH 0/2] add foo
        one    ann 10:01 >c !text1   [PATCH 1/2] foo: prepare
        again  ann 10:01 >c !text1   [PATCH 1/2] foo: prepare
        two    ann 10:02 >c          [PATCH 2/2] foo: enable
        cc     ann 10:00 >c !c       [PATCH 0/2] add foo
    """)
    assert lines(thread) == ["c series v1 of 2: 0=c 1=again,one 2=two"]
    assert thread.series[0].effective[1] == "again"
    assert [member.key for member in thread.series[0].members if member.number == 0] == ["cc"]


def test_covers_of_two_versions_share_an_id() -> None:
    thread = grouped("""
        c    ann 10:00 !v3       [PATCH v3 0/1] add foo
        one  ann 10:01 >c        [PATCH v3 1/1] foo
        c    ann 2d10:00 !v4     [PATCH v4 0/1] add foo
        two  ann 2d10:01 >c      [PATCH v4 1/1] foo
    """)
    [second] = [key for key in thread.parents if key.startswith("c#")]
    assert lines(thread) == ["c series v3 of 1: 0=c 1=one", f"{second} series v4 of 1: 0={second} 1=two"]
    assert len(second) == len("c#") + 8


# --- several postings in one thread ----------------------------------------------------------------------------------


def test_next_version_in_the_thread_of_the_last() -> None:
    thread = grouped("""
        c1   ann 10:00        [PATCH 0/2] add foo
        a1   ann 10:01 >c1    [PATCH 1/2] foo: prepare
        b1   ann 10:02 >c1    [PATCH 2/2] foo: enable
        c2   ann 2d10:00 >c1  [PATCH v2 0/2] add foo
        a2   ann 2d10:01 >c2 ~c1 ~c2  [PATCH v2 1/2] foo: prepare
        b2   ann 2d10:02 >c2 ~c1 ~c2  [PATCH v2 2/2] foo: enable
    """)
    assert lines(thread) == ["c1 series v1 of 2: 0=c1 1=a1 2=b1", "c2 series v2 of 2: 0=c2 1=a2 2=b2"]


def test_next_version_without_its_cover_never_fills_holes_of_the_last() -> None:
    """Patchwork's guard against this is never true (its issue 340)."""
    thread = grouped("""
        a1  ann 10:01 >c1       [PATCH 1/3] foo: prepare
        c2  ann 2d10:03 >a1     [PATCH v2 3/3] foo: enable
    """)
    assert lines(thread) == ["a1 series v1 of 3: 1=a1", "c2 series v2 of 3: 3=c2"]


def test_all_of_the_next_version_below_the_cover_of_the_last() -> None:
    thread = grouped("""
        c1   ann 10:00        [PATCH 0/2] add foo
        a1   ann 10:01 >c1    [PATCH 1/2] foo: prepare
        b1   ann 10:02 >c1    [PATCH 2/2] foo: enable
        a2   ann 2d10:01 >c1  [PATCH v2 1/3] foo: prepare
        b2   ann 2d10:02 >c1  [PATCH v2 2/3] foo: enable
        d2   ann 2d10:03 >c1  [PATCH v2 3/3] foo: document
    """)
    assert lines(thread) == ["a2 series v2 of 3: 1=a2 2=b2 3=d2", "c1 series v1 of 2: 0=c1 1=a1 2=b1"]


def test_each_patch_of_the_next_version_below_its_former_self() -> None:
    thread = grouped("""
        a1   ann 10:01          [PATCH 1/2] foo: prepare
        b1   ann 10:02 >a1      [PATCH 2/2] foo: enable
        a2   ann 2d10:01 >a1    [PATCH v2 1/2] foo: prepare
        b2   ann 2d10:03 >b1    [PATCH v2 2/2] foo: enable
    """)
    assert lines(thread) == ["a1 series v1 of 2: 1=a1 2=b1", "a2 series v2 of 2: 1=a2 2=b2"]


def test_next_version_that_shrinks_is_not_absorbed() -> None:
    thread = grouped("""
        c1   ann 10:00        [PATCH 0/3] add foo
        a1   ann 10:01 >c1    [PATCH 1/3] foo: prepare
        b1   ann 10:02 >c1    [PATCH 2/3] foo: enable
        c2   ann 2d10:00 >c1  [PATCH v2 0/1] add foo
        a2   ann 2d10:01 >c2  [PATCH v2 1/1] foo: all at once
    """)
    assert lines(thread) == ["c1 series v1 of 3: 0=c1 1=a1 2=b1", "c2 series v2 of 1: 0=c2 1=a2"]


def test_second_series_in_reply_to_the_first() -> None:
    """Patchwork's issue 127: 7 of the one and 18 of the other became one series of 25."""
    first = [f"f{n} ann 10:{n:02} {'>f0' if n else ''} [PATCH {n}/7] foo {n}" for n in range(8)]
    second = [f"s{n} ann 11:{n:02} {'>s0' if n else '>f0'} [PATCH {n}/18] bar {n}" for n in range(19)]
    thread = grouped("\n".join(first + second))
    assert [(series.key, len(series.posted), series.complete) for series in thread.series] == [
        ("f0", 7, True),
        ("s0", 18, True),
    ]


def test_resend_is_a_posting_of_its_own() -> None:
    thread = grouped("""
        c1   ann 10:00        [PATCH v3 0/2] add foo
        a1   ann 10:01 >c1    [PATCH v3 1/2] foo: prepare
        b1   ann 10:02 >c1    [PATCH v3 2/2] foo: enable
        c2   ann 2d10:00 >c1  [PATCH v3 RESEND 0/2] add foo
        a2   ann 2d10:01 >c2  [PATCH v3 RESEND 1/2] foo: prepare
        b2   ann 2d10:02 >c2  [PATCH v3 RESEND 2/2] foo: enable
    """)
    assert lines(thread) == ["c1 series v3 of 2: 0=c1 1=a1 2=b1", "c2 series v3 of 2: 0=c2 1=a2 2=b2"]


def test_single_and_its_resend_are_two() -> None:
    thread = grouped("""
        a1   ann 10:00        [PATCH v3] foo: fix
        a2   ann 9d10:00 >a1  [PATCH v3 RESEND] foo: fix
    """)
    assert lines(thread) == ["a1 single v3 of 1: 1=a1", "a2 single v3 of 1: 1=a2"]


def test_two_postings_of_one_version_below_one_mail() -> None:
    thread = grouped("""
        bug  eve 09:00           foo is broken
        a1   ann 10:01 >bug      [PATCH 1/2] foo: prepare
        b1   ann 10:02 >bug      [PATCH 2/2] foo: fix
        a2   ann 1d10:01 >bug    [PATCH 1/2] foo: prepare
        b2   ann 1d10:02 >bug    [PATCH 2/2] foo: fix
    """)
    assert lines(thread) == ["a1 series v1 of 2: 1=a1 2=b1", "a2 series v1 of 2: 1=a2 2=b2"]


def test_same_numbers_with_another_total_are_another_series() -> None:
    thread = grouped("""
        c    ann 10:00        [PATCH 0/3] add foo
        a    ann 10:01 >c     [PATCH 3/3] foo
        b    ann 2d10:02 >c   [PATCH 4/4] bar
    """)
    assert lines(thread) == ["b series v1 of 4: 4=b", "c series v1 of 3: 0=c 3=a"]


# --- re-rolls --------------------------------------------------------------------------------------------------------


def test_marked_reroll_is_laid_over() -> None:
    """Patchwork's issue 633: `v5.1 10/12` became a new series of its own."""
    thread = grouped("""
        c   ann 10:00         [PATCH v5 0/2] add foo
        a   ann 10:01 >c      [PATCH v5 1/2] foo: prepare
        b   ann 10:02 >c      [PATCH v5 2/2] foo: enable
        re  bob 1d10:00 >b    Re: [PATCH v5 2/2] foo: enable
        b1  ann 2d10:00 >re   [PATCH v5.1 2/2] foo: enable
        b2  ann 3d10:00 >c    [PATCH v5.2 2/2] foo: enable
    """)
    assert lines(thread) == ["c series v5 of 2: 0=c 1=a 2=b,b1<b2"]
    [series] = thread.series
    assert series.effective == {1: "a", 2: "b2"}
    assert series.posted[2] == ("b", "b1", "b2")
    roles = {member.key: member.role for member in series.members}
    assert roles == {"a": "posted", "b": "posted", "b1": "posted", "b2": "reroll"}


def test_marked_reroll_may_have_grown() -> None:
    thread = grouped("""
        c   ann 10:00         [PATCH v7 0/2] add foo
        a   ann 10:01 >c      [PATCH v7 1/2] foo: prepare
        b   ann 10:02 >c      [PATCH v7 2/2] foo: enable
        b1  ann 2d10:00 >b    [PATCH v7.1 2/3] foo: enable
    """)
    assert lines(thread) == ["c series v7 of 2: 0=c 1=a 2=b<b1"]


def test_whole_series_with_a_dotted_version_is_its_own() -> None:
    thread = grouped("""
        c   ann 10:00        [PATCH v5 0/1] add foo
        a   ann 10:01 >c     [PATCH v5 1/1] foo
        d   ann 2d10:00 >c   [PATCH v5.5 0/1] add foo
        e   ann 2d10:01 >d   [PATCH v5.5 1/1] foo
    """)
    assert lines(thread) == ["c series v5 of 1: 0=c 1=a", "d series v5 of 1: 0=d 1=e"]
    assert [series.reroll for series in thread.series] == [None, 5]


def test_patch_again_below_itself_is_laid_over() -> None:
    thread = grouped("""
        c   ann 10:00        [PATCH v2 0/3] add foo
        a   ann 10:01 >c     [PATCH v2 1/3] foo: prepare
        b   ann 10:02 >c     [PATCH v2 2/3] foo: split
        d   ann 10:03 >c     [PATCH v2 3/3] foo: enable
        re  bob 11:00 >d     Re: [PATCH v2 3/3] foo: enable
        d2  ann 15:00 >re    [PATCH v2 3/3 fixed] foo: enable
    """)
    assert lines(thread) == ["c series v2 of 3: 0=c 1=a 2=b 3=d<d2"]


def test_patch_again_below_the_cover_is_laid_over_where_the_title_is_the_same() -> None:
    table = """
        c   ann 10:00        [PATCH v2 0/2] add foo
        a   ann 10:01 >c     [PATCH v2 1/2] foo: prepare
        b   ann 10:02 >c     [PATCH v2 2/2] foo: enable
        b2  ann 15:00 >c     [PATCH v2 2/2] {}
    """
    assert lines(grouped(table.format("foo: enable"))) == ["c series v2 of 2: 0=c 1=a 2=b<b2"]
    assert lines(grouped(table.format("bar: something else"))) == [
        "b2 series v2 of 2: 2=b2",
        "c series v2 of 2: 0=c 1=a 2=b",
    ]


def test_resent_patch_is_not_a_reroll() -> None:
    thread = grouped("""
        c   ann 10:00         [PATCH v2 0/2] add foo
        a   ann 10:01 >c      [PATCH v2 1/2] foo: prepare
        b   ann 10:02 >c      [PATCH v2 2/2] foo: enable
        b2  ann 9d15:00 >b    [PATCH RESEND v2 2/2] foo: enable
    """)
    assert lines(thread) == ["b2 series v2 of 2: 2=b2", "c series v2 of 2: 0=c 1=a 2=b"]


def test_reroll_by_somebody_else_is_not_laid_over() -> None:
    thread = grouped("""
        c   ann 10:00         [PATCH v2 0/2] add foo
        a   ann 10:01 >c      [PATCH v2 1/2] foo: prepare
        b   ann 10:02 >c      [PATCH v2 2/2] foo: enable
        b2  bob 1d15:00 >b    [PATCH v2 2/2] foo: enable
    """)
    assert lines(thread) == ["b2 series v2 of 2: 2=b2", "c series v2 of 2: 0=c 1=a 2=b"]


def test_one_patch_of_a_newer_version_is_a_series_of_its_own() -> None:
    thread = grouped("""
        c   ann 10:00         [PATCH 0/2] add foo
        a   ann 10:01 >c      [PATCH 1/2] foo: prepare
        b   ann 10:02 >c      [PATCH 2/2] foo: enable
        b2  ann 1d15:00 >b    [PATCH v2 2/2] foo: enable
    """)
    assert lines(thread) == ["b2 series v2 of 2: 2=b2", "c series v1 of 2: 0=c 1=a 2=b"]


# --- pull requests, single patches -----------------------------------------------------------------------------------


def test_pull_request_with_its_patches_is_one_unit() -> None:
    thread = grouped("""
        c   ann     10:00     [PULL 00/2] foo queue
        a   ann/bob 10:01 >c  [PULL 01/2] foo: prepare
        b   ann/eve 10:02 >c  [PULL 02/2] foo: enable
    """)
    assert lines(thread) == ["c pull v1 of 2: 0=c 1=a 2=b"]


def test_pull_request_without_numbers_above_numbered_patches() -> None:
    thread = grouped("""
        c   ann     10:00     [GIT PULL] foo queue
        a   ann/bob 10:01 >c  [GIT PULL 1/2] foo: prepare
        b   ann/eve 10:02 >c  [GIT PULL 2/2] foo: enable
    """)
    assert lines(thread) == ["c pull v1 of 2: 0=c 1=a 2=b"]


def test_lone_pull_request() -> None:
    thread = grouped("""
        c   ann 10:00     [GIT PULL] foo queue
        re  bob 11:00 >c  Re: [GIT PULL] foo queue
    """)
    assert lines(thread) == ["c pull v1 of 0: 0=c"]
    assert thread.series[0].complete


def test_cover_without_a_number() -> None:
    table = """
        c   {} 10:00     add foo
        a   ann 10:01 >c  [PATCH 1/2] foo: prepare
        b   ann 10:02 >c  [PATCH 2/2] foo: enable
    """
    assert lines(grouped(table.format("ann"))) == ["c series v1 of 2: 0=c 1=a 2=b"]
    # A bug report of another person is no cover.
    assert lines(grouped(table.format("bob"))) == ["a series v1 of 2: 1=a 2=b"]


def test_series_below_a_single_patch_keeps_its_total() -> None:
    thread = grouped("""
        x   ann 10:00     [PATCH] foo: fix
        a   ann 10:01 >x  [PATCH 1/2] foo: prepare
        b   ann 10:02 >x  [PATCH 2/2] foo: enable
    """)
    assert lines(thread) == ["a series v1 of 2: 1=a 2=b", "x single v1 of 1: 1=x"]


def test_cover_and_only_patch() -> None:
    thread = grouped("""
        c   ann 10:00     [PATCH 0/1] add foo
        a   ann 10:01 >c  [PATCH 1/1] foo
    """)
    assert lines(thread) == ["c series v1 of 1: 0=c 1=a"]


def test_cover_that_carries_a_diff() -> None:
    """Patchwork makes it a patch without series."""
    thread = grouped("""
        c   ann 10:00 +patch  [PATCH 0/1] add foo
        a   ann 10:01 >c      [PATCH 1/1] foo
    """)
    assert lines(thread) == ["c series v1 of 1: 0=c 1=a"]


def test_singles_of_one_run_stay_singles() -> None:
    thread = grouped("""
        20260401100000.77-1-ann@example.org  ann 10:00  [PATCH] foo
        20260401100000.77-2-ann@example.org  ann 10:00  [PATCH] bar
    """)
    assert [series.kind for series in thread.series] == ["single", "single"]


# --- never members ---------------------------------------------------------------------------------------------------


def test_somebody_elses_patch_in_the_thread() -> None:
    thread = grouped("""
        c    ann 10:00       [PATCH 0/2] add foo
        a    ann 10:01 >c    [PATCH 1/2] foo: prepare
        x    bob 11:00 >a    [PATCH] foo: better
        y    bob 11:01 >c    [PATCH 2/2] foo: my own
    """)
    assert lines(thread) == ["c series v1 of 2: 0=c 1=a", "x single v1 of 1: 1=x", "y series v1 of 2: 2=y"]


def test_notices_replies_and_interdiffs() -> None:
    thread = grouped("""
        c    ann 10:00             [PATCH v2 0/1] add foo
        a    ann 10:01 >c          [PATCH v2 1/1] foo
        i    ann 10:02 >c +patch   [Interdiff v2] foo
        j    ann 10:02 >c +patch   [PATCH v2 interdiff 1/1] foo
        n    greg 12:00 >a +notice Patch "foo" has been added to the 6.1-stable tree
        m    greg 12:00 >a +notice [PATCH v2 1/1] foo
        r    bob 12:00 >a +diff    Re: [PATCH v2 1/1] foo
    """)
    assert lines(thread) == ["c series v2 of 1: 0=c 1=a"]


def test_patch_without_a_version_keeps_its_own() -> None:
    thread = grouped("""
        c    ann 10:00       [PATCH v4 0/1] add foo
        a    ann 10:01 >c    [PATCH v4 1/1] foo
        x    ann 1d11:00 >a  [PATCH] foo: and this
    """)
    assert lines(thread) == ["c series v4 of 1: 0=c 1=a", "x single v1 of 1: 1=x"]


# --- order, size, odd ids --------------------------------------------------------------------------------------------


def test_430_patches_shuffled() -> None:
    clock = [f"{10 + n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}" for n in range(431)]
    table = [f"p{n} ann {clock[n]} {'>p0' if n else ''} [PATCH 6.18 {n:03}/430] t {n}" for n in range(431)]
    random.Random(430).shuffle(table)  # noqa: S311
    thread = grouped("\n".join(table))
    [series] = thread.series
    assert series.cover == "p0"
    assert list(series.posted.items()) == [(n, (f"p{n}",)) for n in range(1, 431)]
    assert series.complete


def test_date_of_the_cover_after_its_patches() -> None:
    thread = grouped("""
        c   ann 10:09     [PATCH 0/2] add foo
        a   ann 10:01 >c  [PATCH 1/2] foo: prepare
        b   ann 10:02 >c  [PATCH 2/2] foo: enable
    """)
    assert lines(thread) == ["c series v1 of 2: 0=c 1=a 2=b"]


def test_mails_without_a_date() -> None:
    thread = grouped("""
        c   ann 10:00 +undated     [PATCH 0/2] add foo
        a   ann 10:01 >c +undated  [PATCH 1/2] foo: prepare
        b   ann 10:02 >c           [PATCH 2/2] foo: enable
    """)
    assert lines(thread) == ["c series v1 of 2: 0=c 1=a 2=b"]


def test_cycles_are_cut_at_their_first_mail() -> None:
    thread = grouped("""
        a  ann 10:00 >c  Re: x
        b  ann 10:01 >a  Re: x
        c  ann 10:02 >b  Re: x
        d  ann 10:03 >d  Re: x
        e  ann 10:04 >c >d  Re: x
    """)
    assert thread.parents == {"a": None, "b": "a", "c": "b", "d": None, "e": "c"}


def test_parent_is_the_nearest_ancestor_that_is_there() -> None:
    thread = grouped("""
        a  ann 10:00                  x
        b  ann 10:01 >a               Re: x
        d  ann 10:03 >gone ~a ~b ~lost Re: x
    """)
    assert thread.parents["d"] == "b"


def test_why_a_mail_is_a_member() -> None:
    thread = grouped("""
        c   ann 10:00         [PATCH v5 0/2] add foo
        a   ann 10:01 >c      [PATCH v5 1/2] foo: prepare
        b1  ann 2d10:00 >a    [PATCH v5.1 1/2] foo: prepare
        x   ann 2d10:00 >c    [PATCH] baz
    """)
    assert thread.reasons == {
        "a": "answers the same posting",
        "b1": "re-roll of a patch of this version",
        "c": "numbered",
        "x": "a patch without a number",
    }
