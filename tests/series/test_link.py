"""Link keys: what binds mails, and what must not bind a whole list."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ingestd.series import link, stem
from ingestd.series.stem import Stem
from series.made import components, mails


@pytest.mark.parametrize(
    ("message_id", "expected"),
    [
        ("20260408165559.157108-10-peterx@example.com", Stem("20260408165559.157108 peterx@example.com", 10)),
        ("20250513031010.267994-1-LeoWang", Stem("20250513031010.267994 LeoWang", 1)),
        (
            "1555673556-419097-1-git-send-email-p@example.com",
            Stem("1555673556-419097 git-send-email-p@example.com", 1),
        ),
        ("20260309-a-name-v26-4-5fedcff8ffe8@host.example", Stem("20260309-a-name-v26 5fedcff8ffe8@host.example", 4)),
        ("cover.1555494108.git.m+s@example.org", Stem("1555494108 git.m+s@example.org", None)),
        (f"{'efbe0a2b5b' * 4}.1555494108.git.m+s@example.org", Stem("1555494108 git.m+s@example.org", None)),
        (f"cover.{'efbe0a2b5b' * 4}.1575369656.git-series.a@e.org", Stem("1575369656 git-series.a@e.org", None)),
        (f"20200903162412.5.I{'efbe0a2b5b' * 4}@changeid", Stem("20200903162412 changeid", 5)),
        (f"20230901163944.RFT.5.I{'efbe0a2b5b' * 4}@changeid", Stem("20230901163944.RFT changeid", 5)),
        ("163456789012.12345.1234567890-0@git.sr.ht", Stem("163456789012.12345.1234567890 git.sr.ht", 0)),
        ("SG2PR06MB2315C9F4348D39DA1A448852E6199@SG2PR06MB2315.apcprd06.prod.outlook.com", None),
        ("1-1-x", None),
        ("20191119051412.266011758@linuxfoundation.org", None),
        ("y", None),
        ("", None),
    ],
)  # fmt: skip
def test_send_runs(message_id: str, expected: Stem | None) -> None:
    assert stem.read(message_id) == expected


def test_stems_of_hostile_ids_take_no_time() -> None:
    for hostile in ("20260101-" + "v1-1-" * 20_000, "1" * 100_000, "a." * 50_000, "20260101-" + "-v1" * 30_000):
        assert stem.read(hostile) is None


def test_own_id_references_and_former_ids() -> None:
    [fact] = mails("here1 ann 10:00 >above ~root1 ~above +former=20260401100000.77-2-Ann [PATCH 2/2] foo")
    assert link.keys(fact) == {
        "m:here1@m",
        "m:above@m",
        "m:root1@m",
        "m:20260401100000.77-2-Ann",
        "s:20260401100000.77 Ann",
    }


def test_nearest_reference_first() -> None:
    [fact] = mails("here1 ann 10:00 >above ~root1 ~above ~near1 ~here1 Re: foo")
    assert link.references(fact) == ("above@m", "near1@m", "root1@m")


@pytest.mark.parametrize(
    "junk", ["y", "n", "no", "", "ann@example.org", "linux-foo@vger.kernel.org", "git-send-email-ann@example.org"]
)
def test_junk_binds_nothing(junk: str) -> None:
    facts = [replace(fact, in_reply_to=(junk,), references=(junk,)) for fact in mails("""
        one  ann 10:00  Re: foo
        two  ann 11:00  Re: bar
    """)]  # fmt: skip
    assert len(components(facts)) == 2


def test_coarse_keys_only_without_references() -> None:
    [bound, loose, reply, undated] = mails("""
        bound  ann 10:00 >above     [PATCH 2/2] foo
        loose  ann 10:00            [PATCH 2/2] foo
        reply  ann 10:00            Re: [PATCH 2/2] foo
        clock  ann 10:00 +undated   [PATCH 2/2] foo
    """)
    assert not link.coarse(bound)
    assert len(link.coarse(loose)) == 2
    assert not link.coarse(reply)
    assert not link.coarse(undated)


def test_near_mails_share_a_window_and_far_ones_do_not() -> None:
    [fact] = mails("loose  ann 10:00  [PATCH 2/2] foo")
    assert fact.date is not None
    for minutes in range(0, 120, 7):
        first = replace(fact, date=fact.date + timedelta(minutes=minutes))
        near = replace(first, date=first.date + link.NEAR if first.date else None)
        far = replace(first, date=first.date + 2 * link.NEAR if first.date else None)
        assert link.coarse(first) & link.coarse(near)
        assert not link.coarse(first) & link.coarse(far)


def test_tree_is_what_tags_say_beside_the_usual() -> None:
    [fact] = mails("x ann 10:00 [RFC PATCH net-next v3 RESEND 2/2] foo")
    assert link.tree(fact) == ("net-next",)


def test_long_keys_are_digests() -> None:
    [fact] = mails("x ann 10:00 [PATCH] foo")
    long = [replace(fact, message_id=start + "x" * 2_000) for start in "ab"]
    keys = [link.keys(one) for one in long]
    assert keys[0].isdisjoint(keys[1])
    assert all(len(key) <= link.LONGEST_KEY for one in keys for key in one)
    answer = replace(fact, message_id="other@m", in_reply_to=(long[0].message_id,))
    assert link.keys(answer) & keys[0]


def test_ids_nobody_has_sent_yet_bind() -> None:
    facts = mails("""
        two   ann 10:02 >gone  [PATCH 2/2] foo
        re    bob 11:00 >gone  Re: [PATCH 0/2] foo
        else  eve 11:00        bar
    """)
    assert sorted(map(len, components(facts))) == [1, 2]
