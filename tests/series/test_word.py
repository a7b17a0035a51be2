"""A human's word on where a mail belongs goes before every rule, and depends on no order."""

from itertools import permutations

from ingestd.series import group, word
from series.made import bare, chain, components, grouped, lines, mails


def test_patch_that_only_a_human_can_place() -> None:
    """Sent days later, without a reference, by another person: no rule binds it."""
    thread = grouped("""
        c  ann 10:00                  [PATCH 0/2] add foo
        a  ann 10:01 >c               [PATCH 1/2] foo: prepare
        b  bob 3d11:00 +belongs=c     [PATCH 2/2] foo: enable
    """)
    assert lines(thread) == ["c series v1 of 2: 0=c 1=a 2=b"]
    assert thread.reasons["b"] == word.REASON


def test_without_the_word_it_is_alone() -> None:
    facts = mails("""
        c  ann 10:00           [PATCH 0/2] add foo
        a  ann 10:01 >c        [PATCH 1/2] foo: prepare
        b  bob 3d11:00         [PATCH 2/2] foo: enable
    """)
    assert len(components(facts)) == 2


def test_moved_out_of_a_series_into_another() -> None:
    thread = grouped("""
        c1  ann 10:00                  [PATCH 0/2] add foo
        a1  ann 10:01 >c1              [PATCH 1/2] foo: prepare
        x   ann 10:02 >c1 +belongs=c2  [PATCH 2/2] bar: enable
        c2  ann 11:00                  [PATCH 0/2] add bar
        a2  ann 11:01 >c2              [PATCH 1/2] bar: prepare
    """)
    assert lines(thread) == ["c1 series v1 of 2: 0=c1 1=a1", "c2 series v1 of 2: 0=c2 1=a2 2=x"]


def test_in_a_taken_slot_it_is_laid_over() -> None:
    thread = grouped("""
        c  ann 10:00                [PATCH 0/2] add foo
        a  ann 10:01 >c             [PATCH 1/2] foo: prepare
        b  ann 10:02 >c             [PATCH 2/2] foo: enable
        d  bob 9d10:00 +belongs=a   [PATCH v7 2/9] foo: enable, mended
    """)
    assert lines(thread) == ["c series v1 of 2: 0=c 1=a 2=b<d"]


def test_answer_with_a_diff_becomes_a_patch_of_the_series() -> None:
    thread = grouped("""
        c   ann 10:00                       [PATCH 0/2] add foo
        a   ann 10:01 >c                    [PATCH 1/2] foo: prepare
        re  bob 12:00 >a +diff +belongs=c   Re: [PATCH 2/2] foo: enable
        ok  bob 12:00 >a +belongs=c         Re: [PATCH 1/2] foo: prepare
    """)
    assert lines(thread) == ["c series v1 of 2: 0=c 1=a 2=re"]
    assert "ok" not in thread.reasons, "an answer without a diff is nothing to apply"


def test_cover_for_a_series_that_has_none() -> None:
    thread = grouped("""
        a  ann 10:01               [PATCH v2 1/2] foo: prepare
        b  ann 10:02 >a            [PATCH v2 2/2] foo: enable
        x  ann 3d09:00 +belongs=b  what foo is about
    """)
    assert lines(thread) == ["x series v2 of 2: 0=x 1=a 2=b"]


def test_second_cover_is_a_copy_even_when_it_is_older() -> None:
    thread = grouped("""
        c  ann 10:00               [PATCH 0/1] add foo
        a  ann 10:01 >c            [PATCH 1/1] foo: prepare
        x  ann 09:00 +belongs=a    [PATCH 0/1] add foo
    """)
    assert lines(thread) == ["c series v1 of 1: 0=c 1=a"]
    assert thread.reasons["x"] == word.REASON


def test_series_of_its_own() -> None:
    thread = grouped("""
        c  ann 10:00                [PATCH 0/2] add foo
        a  ann 10:01 >c             [PATCH 1/2] foo: prepare
        b  ann 10:02 >c +belongs=b  [PATCH 2/2] foo: enable
        d  ann 10:03 >c +belongs=b  [PATCH 1/2] bar: prepare
    """)
    assert lines(thread) == ["c series v1 of 2: 0=c 1=a", "d series v1 of 2: 1=d 2=b"]


def test_words_are_followed_and_circles_have_a_head() -> None:
    table = """
        c  ann 10:00                [PATCH 0/3] add foo
        a  ann 10:01 >c             [PATCH 1/3] foo: prepare
        b  bob 2d10:02 +belongs=c   [PATCH 2/3] foo: enable
        d  bob 4d10:03 +belongs=b   [PATCH 3/3] foo: document
    """
    assert lines(grouped(table)) == ["c series v1 of 3: 0=c 1=a 2=b 3=d"]
    circle = """
        a  ann 10:01 +belongs=b     [PATCH 1/3] foo: prepare
        b  bob 2d10:02 +belongs=d   [PATCH 2/3] foo: enable
        d  bob 4d10:03 +belongs=b   [PATCH 3/3] foo: document
    """
    for facts in permutations(mails(circle)):
        assert lines(bare(group.group(facts))) == ["a series v1 of 3: 1=a 2=b 3=d"]


def test_word_about_a_mail_that_is_not_there_is_void() -> None:
    thread = grouped("""
        c  ann 10:00                   [PATCH 0/1] add foo
        a  ann 10:01 >c +belongs=gone  [PATCH 1/1] foo: prepare
    """)
    assert lines(thread) == ["c series v1 of 1: 0=c 1=a"]
    assert thread.reasons["a"] != word.REASON


def test_next_version_is_linked_to_what_a_human_put_there() -> None:
    assert chain("""
        c1  ann 10:00                 [PATCH 0/2] add foo
        a1  ann 10:01 >c1             [PATCH 1/2] foo: prepare
        b1  bob 3d11:00 +belongs=c1   [PATCH 2/2] foo: enable
        b2  ann 5d11:00 >b1           [PATCH v2 2/2] foo: another title
    """) == ["b2 < c1: in-reply-to"]
