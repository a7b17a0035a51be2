"""One rule a test: series as mail programs send them, and as people mistype them."""

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


def test_directory_sent_twice_in_one_run_below_a_cover_with_another_total() -> None:
    run = "20260401100000.77-{}-ann@example.org"
    subjects = ["0/3", "1/4", "2/4", "3/4", "4/4"] * 2
    lines_ = [
        f"{run.format(i + 1)} ann 10:00:{i:02} {'>' + run.format(i // 5 * 5 + 1) if i % 5 else ''} [PATCH {n}] t{n}"
        for i, n in enumerate(subjects)
    ]
    found = [
        (series.cover, len(series.posted), series.complete) for series in group.group(mails("\n".join(lines_))).series
    ]
    assert found == [(run.format(1), 4, True), (run.format(6), 4, True)]


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


def test_other_peoples_patches_sent_through_a_list_that_stands_in_from() -> None:
    thread = grouped("""
        c    ann@list     10:00     [PATCH 0/2] add foo
        one  ann/bob@list 10:01 >c  [PATCH 1/2] foo: prepare
        two  ann/eve@list 10:02 >c  [PATCH 2/2] foo: enable
    """)
    assert lines(thread) == ["c series v1 of 2: 0=c 1=one 2=two"]


def test_list_in_from_makes_nobody_the_same_person() -> None:
    thread = grouped("""
        bug  bob@list 10:00       foo is broken
        a    ann@list 10:10 >bug  [PATCH 1/2] foo: prepare
        b    ann@list 10:11 >bug  [PATCH 2/2] foo: enable
        b2   bob@list 11:00 >b    [PATCH 2/2] foo: enable
    """)
    assert lines(thread) == ["a series v1 of 2: 1=a 2=b", "b2 series v1 of 2: 2=b2"]


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
