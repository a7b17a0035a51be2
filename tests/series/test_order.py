"""Order cannot matter: any permutation, any repetition, mail by mail or all at once give the same."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ingestd.series import group, link, revise, word
from ingestd.series.values import CARRIED, Fact, Revision, Series, Thread
from series.made import components, mails, revisions

_NAMES = ("ann", "bob")
_RUN = "20260401100000.77-{}-ann@example.org"
_START = datetime(2026, 4, 1, tzinfo=UTC)
_IDS = [*(f"mail{n}@m" for n in range(9)), *(_RUN.format(n) for n in range(1, 6)), "gone@m"]
_TITLES = ("add foo", "foo: prepare", "foo: enable", "bar: fix")
_MINUTES = st.sampled_from([0, 1, 2, 3, 10, 14, 16, 29, 31, 60, 1440, 2880, 90 * 1440])


@st.composite
def _facts(draw: st.DrawFn) -> Fact:
    """A mail of a small world, in which most things collide."""
    number = draw(st.sampled_from([None, 0, 1, 2, 3]))
    reply = draw(st.booleans()) and draw(st.booleans())
    is_patch = number is None or number > 0
    kind = "reply" if reply else draw(st.sampled_from(["patch", "patch", "other", "notice", "pull"]) if is_patch
                                      else st.sampled_from(["cover", "cover", "pull"]))  # fmt: skip
    who = draw(st.sampled_from(_NAMES))
    author = draw(st.sampled_from(_NAMES))
    version = draw(st.integers(1, 3))
    title = draw(st.sampled_from(_TITLES))
    said = draw(st.integers(0, 3))
    references = draw(st.lists(st.sampled_from(_IDS), max_size=3))
    minutes = draw(st.none() | _MINUTES)
    tags = draw(st.sampled_from([("PATCH",), ("RFC", "PATCH"), ("PATCH", "net"), ("PULL",)]))
    return Fact(
        message_id=draw(st.sampled_from(_IDS[:-1])),
        content_key=hashlib.sha256(f"{said} {title}".encode()).hexdigest(),
        kind=kind,
        date=None if minutes is None else _START + timedelta(minutes=minutes),
        author_name=author.title(),
        author_email=f"{author}@example.org",
        sender_email=f"{who}@example.org",
        name=title,
        title=title,
        tags=tags,
        number=number,
        total=None if number is None else draw(st.integers(1, 3)),
        version=version,
        version_written=version > 1 or draw(st.booleans()),
        reroll=draw(st.sampled_from([None, None, None, 1, 2])),
        resend=draw(st.sampled_from([False, False, True])),
        reply=reply,
        in_reply_to=tuple(references[:1]),
        references=tuple(references[1:]),
        former_ids=draw(st.sampled_from([(), (), (), (_RUN.format(2),), ("mail1@m",)])),
        has_diff=kind == "patch",
        patch_id=None if kind != "patch" else f"{said}{said}",
        change_id=draw(st.sampled_from([None, None, "x"])),
        supersedes=tuple(draw(st.lists(st.sampled_from(_IDS), max_size=1))) if draw(st.booleans()) else (),
        sender_name=who.title(),
        munged=draw(st.sampled_from([False, False, True])),
    )


@st.composite
def _worlds(draw: st.DrawFn, most: int) -> list[Fact]:
    # One fact an identity: a store keeps one row for it.
    facts = draw(st.lists(_facts(), min_size=1, max_size=most, unique_by=lambda fact: fact.identity))
    identities = [fact.identity for fact in facts]
    for index in draw(st.lists(st.integers(0, len(facts) - 1), max_size=3)):
        facts[index] = replace(facts[index], belongs=draw(st.sampled_from([*identities, ("gone@m", "0" * 64)])))
    return facts


@given(_worlds(14), st.randoms(use_true_random=False))
@settings(max_examples=120, deadline=None)
def test_permutation_and_repetition_change_nothing(facts: list[Fact], rng: Random) -> None:
    expected = group.group(facts)
    shuffled = [*facts, *rng.sample(facts, len(facts) // 2)]
    rng.shuffle(shuffled)
    assert group.group(shuffled) == expected
    assert list(group.group(shuffled).keys) == list(expected.keys)


@given(_worlds(14))
@settings(max_examples=120, deadline=None)
def test_answers_are_sound(facts: list[Fact]) -> None:
    thread = group.group(facts)
    assert sorted(thread.keys) == sorted(fact.identity for fact in facts)
    assert len(set(thread.keys.values())) == len(facts)
    assert set(thread.parents) == set(thread.keys.values())
    _check_parents(thread)
    _check_series(thread, {thread.keys[fact.identity]: fact for fact in facts})


def _check_parents(thread: Thread) -> None:
    for key in thread.parents:
        walked = {key}
        above = thread.parents[key]
        while above is not None:
            assert above not in walked
            walked.add(above)
            above = thread.parents[above]


def _check_series(thread: Thread, facts: dict[str, Fact]) -> None:
    taken: list[str] = []
    for series in thread.series:
        own = [member.key for member in series.members] + ([series.cover] if series.cover else [])
        taken += own
        assert own
        assert set(own) <= set(thread.reasons)
        assert series.key == (series.cover or min(series.posted[min(series.posted)]))
        assert all(member.role != CARRIED and member.posted_in == series.key for member in series.members)
        assert series.effective.keys() == series.posted.keys()
        assert all(key in series.posted[number] for number, key in series.effective.items())
        assert list(series.members) == sorted(series.members, key=lambda one: (one.number, one.role, one.key))
        spoken = {key for key in own if thread.reasons[key] == word.REASON}
        assert not any(facts[key].kind in ("reply", "notice") for key in set(own) - spoken)
        assert all(facts[member.key].number in (member.number, None) for member in series.members)
        assert series.complete == (not series.missing)
        assert all(len(key) <= link.LONGEST_KEY for key in series.revision_keys)
    assert len(taken) == len(set(taken))
    assert set(thread.reasons) == set(taken)
    patches = {key for key, fact in facts.items() if fact.kind == "patch"}
    assert patches <= set(taken)


@dataclass(slots=True)
class _Store:
    """A store as the real one works: link keys, threads, series and revisions brought up to date mail by mail."""

    facts: list[Fact] = field(default_factory=list)
    threads: dict[frozenset[tuple[str, str]], Thread] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)
    revisions: dict[str, Revision] = field(default_factory=dict)
    sparing: bool = False  # leave alone what `concerns` says cannot change

    def add(self, fact: Fact) -> None:
        self.facts.append(fact)
        [touched] = [part for part in components(self.facts) if fact in part]
        identities = frozenset(one.identity for one in touched)
        old = [known for known in self.threads if known & identities]
        before = [series for known in old for series in self.threads.pop(known).series]
        self.threads[identities] = group.group(touched)
        after = self.threads[identities].series
        changed = [one for one in (*before, *after) if not (one in before and one in after)]
        for one in before:
            self.series.pop(one.key)
            if one in changed:
                self.revisions.pop(one.key, None)
        self.series |= {one.key: one for one in after}
        # Only who shares a revision key with what changed, as it was or as it is, is revised again.
        keys = {key for one in changed for key in one.revision_keys}
        for one in self.series.values():
            concerned = any(revise.concerns(other, one) for other in changed) if self.sparing else True
            if keys & set(one.revision_keys) and concerned:
                beside = [other for other in self.series.values() if set(other.revision_keys) & set(one.revision_keys)]
                self.revisions[one.key] = revise.revise(one, beside)


@given(_worlds(10), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_mail_by_mail_is_as_all_at_once(facts: list[Fact], rng: Random) -> None:
    whole = {series.key: series for part in components(facts) for series in group.group(part).series}
    expected = revisions(whole.values())
    for sparing in (False, True):
        store = _Store(sparing=sparing)
        for fact in rng.sample(facts, len(facts)):
            store.add(fact)
        assert store.series == whole
        assert store.revisions == expected


@given(_worlds(12))
@settings(max_examples=50, deadline=None)
def test_carried_members_are_there_and_fill_holes(facts: list[Fact]) -> None:
    series = {one.key: one for part in components(facts) for one in group.group(part).series}
    for key, revision in revisions(series.values()).items():
        one = series[key]
        assert revision.supersedes is None or revision.supersedes in series
        assert (revision.supersedes is None) == (revision.evidence is None)
        for member in revision.carried:
            assert member.number not in one.posted
            assert member.key in series[member.posted_in].posted[member.number]
        assert {member.number for member in revision.carried} <= set(one.missing)


def test_partial_deliveries_of_one_thread_meet() -> None:
    """Late arrivals bind what stood apart: here the cover, which came last."""
    facts = mails("""
        a    ann 10:01 >c       [PATCH v2 1/2] foo: prepare
        b    ann 10:02 >c       [PATCH v2 2/2] foo: enable
        re   bob 11:00 >a ~c    Re: [PATCH v2 1/2] foo: prepare
        x    eve 09:00          Re: foo is broken
        c    ann 10:00 >x       [PATCH v2 0/2] add foo
    """)
    for last in facts:
        store = _Store()
        for fact in [*(one for one in facts if one is not last), last]:
            store.add(fact)
        [series] = store.series.values()
        assert (series.cover, series.complete) == ("c@m", True)
        assert len(store.threads) == 1


def test_second_patch_of_v2_comes_before_all_else() -> None:
    """Before v1, before its cover, before its parent (Patchwork files it under v1, or makes a series of one)."""
    facts = mails("""
        b2  ann 1d10:02 >a2      [PATCH v2 2/2] foo: enable
        a2  ann 1d10:01 >c2      [PATCH v2 1/2] foo: prepare
        b1  ann 10:02 >c1        [PATCH 2/2] foo: enable
        c2  ann 1d10:00 >c1      [PATCH v2 0/2] add foo
        a1  ann 10:01 >c1        [PATCH 1/2] foo: prepare
        c1  ann 10:00            [PATCH 0/2] add foo
    """)
    store = _Store()
    for fact in facts:
        store.add(fact)
    assert {key: (one.version, tuple(one.effective.values())) for key, one in store.series.items()} == {
        "c1@m": (1, ("a1@m", "b1@m")),
        "c2@m": (2, ("a2@m", "b2@m")),
    }
    assert store.revisions["c2@m"].supersedes == "c1@m"


def test_facts_that_differ_under_one_identity_do_not_make_order_matter() -> None:
    [fact] = mails("a ann 10:01 [PATCH v2 1/2] foo: prepare")
    other = replace(fact, title="foo: something else")
    assert group.group([fact, other]) == group.group([other, fact])
