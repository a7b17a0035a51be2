"""One rule a test: pull requests, single patches, what is never a member, odd and big threads."""

import random
import time

import pytest

from ingestd.series import group
from series.made import SHAPES, grouped, lines, mails

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
    random.Random(430).shuffle(table)
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


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_thread_of_2000_mails(shape: str) -> None:
    """Near linear: the measured time is a tenth of what is allowed here, a quadratic one would be far beyond it."""
    facts = mails(SHAPES[shape](2_000))
    started = time.process_time()
    thread = group.group(facts)
    assert time.process_time() - started < 2.5
    assert len(thread.keys) == 2_000
