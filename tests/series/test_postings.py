"""One rule a test: several postings and re-rolls in one thread."""

from series.made import grouped, lines

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


def test_reroll_of_a_reroll_with_a_date_before_it() -> None:
    thread = grouped("""
        c   ann 10:00         [PATCH v2 0/2] add foo
        a   ann 10:01 >c      [PATCH v2 1/2] foo: prepare
        b   ann 10:02 >c      [PATCH v2 2/2] foo: enable
        b2  ann 2d10:00 >b    [PATCH v2 2/2] foo: enable
        b3  ann 1d10:00 >b2   [PATCH v2 2/2] foo: enable
    """)
    assert lines(thread) == ["c series v2 of 2: 0=c 1=a 2=b,b3<b2"]


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
