"""Subjects: Patchwork's name and prefixes to the letter, and what the tags say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestd.mail.subject import MAX_TEXT, parse

# reference: Patchwork's own answers for these
PATCHWORK = [
    ("[PATCH 09/14] x", "[09/14] x", ("09/14",)),
    ("[PATCH v2 1/3] x", "[v2,1/3] x", ("v2", "1/3")),
    ("[Qemu-devel] [PATCH v3 09/14] Re: foo", "[v3,09/14] Re: foo", ("v3", "09/14")),
    ("[RFC PATCH v2 00/10] x", "[RFC,v2,00/10] x", ("RFC", "v2", "00/10")),
    ("[PATCH RFC/RFT 3/5] x", "[RFC/RFT,3/5] x", ("RFC/RFT", "3/5")),
    ("[PULL 01/45] x", "[PULL,01/45] x", ("PULL", "01/45")),
    ("[PATCH 1/2] x (v3)", "[1/2] x (v3)", ("1/2",)),
    ("[PATCHv2 1/2] x", "[PATCHv2,1/2] x", ("PATCHv2", "1/2")),
    ("[PATCH v2.1 3/4] x", "[v2.1,3/4] x", ("v2.1", "3/4")),
    ("[PATCH-for-9.0 v3 1/2] x", "[PATCH-for-9.0,v3,1/2] x", ("PATCH-for-9.0", "v3", "1/2")),
    ("[PATCH 6.1/6.6 2/3] x", "[6.1/6.6,2/3] x", ("6.1/6.6", "2/3")),
    ("[PATCH 2 of 3 v5] x", "[2 of 3,v5] x", ("2", "of", "3", "v5")),
    ("[PATCH v5 2 of 3] x", "[v5,2,of,3] x", ("v5", "2", "of", "3")),
    ("[PATCH 1 /2] x", "[1,/2] x", ("1", "/2")),
    ("[PATCH [RFC] 1/2] x", "[[RFC] 1/2] x", ("[RFC",)),
    ("[PATCH 3/2] x", "[3/2] x", ("3/2",)),
    ("[PATCH] foo: [bar] baz", "foo: [bar] baz", ()),
    ("AW: [PATCH 1/2] x", "AW: [PATCH 1/2] x", ()),
    ("Re: Re: [PATCH] x", "Re: [PATCH] x", ()),
    ("PATCH 1/3: foo", "PATCH 1/3: foo", ()),
]


@pytest.mark.parametrize(("text", "name", "prefixes"), PATCHWORK, ids=[case[0] for case in PATCHWORK])
def test_name_and_prefixes_are_patchworks(text: str, name: str, prefixes: tuple[str, ...]) -> None:
    subject = parse(text, "qemu-devel")
    assert subject.name == name
    assert subject.prefixes == prefixes


# the text; number and total; version; re-roll; is it a reply
GRAMMAR = [
    ("[PULL 03/20] x", (3, 20), 1, None, False),
    ("[PATCH for-9.1 v2 3/7] x", (3, 7), 2, None, False),
    ("[PATCH-for-9.1 2/5] x", (2, 5), 1, None, False),
    ("[PATCH v3.1 4/7] x", (4, 7), 3, 1, False),
    ("[PATCH V2.1 5/5] x", (5, 5), 2, 1, False),
    ("[PATCH v6.6] x", (None, None), 1, None, False),
    ("[PATCH stable v4.9 v2] x", (None, None), 2, None, False),
    ("[PATCH for v5.9] x", (None, None), 1, None, False),
    ("[PATCH u-boot v2016.07-aspeed-openbmc] x", (None, None), 1, None, False),
    ("[PATCH u-boot v2019.04-aspeed-openbmc v3 1/2] x", (1, 2), 3, None, False),
    ("[PATCH v2 3/5 fixed] x", (3, 5), 2, None, False),
    ("[PATCHv3 2/5] x", (2, 5), 3, None, False),
    ("[PATCH-v2 2/5] x", (2, 5), 2, None, False),
    ("[PATCH1/8] x", (1, 8), 1, None, False),
    ("[v2PATCH12/15] x", (12, 15), 2, None, False),
    ("[PATCH v6,19/24] x", (19, 24), 6, None, False),
    ("[RESEND,PATCH v2] x", (None, None), 2, None, False),
    ("[PATCH 2/ 5] x", (2, 5), 1, None, False),
    ("[PATCH 2 /5] x", (2, 5), 1, None, False),
    ("[PATCH 2 of 5] x", (2, 5), 1, None, False),
    ("[PATCH v2 [2/5]] x", (2, 5), 2, None, False),
    ("[PATCH 1/2 v2] x", (1, 2), 2, None, False),
    ("[PATCH] [v2] x", (None, None), 2, None, False),
    ("[RFC][PATCH 1/2] x", (1, 2), 1, None, False),
    ("[edk2] [staging/x][PATCH 1/2] x", (1, 2), 1, None, False),
    ("[PATCH v2/3] x", (2, 3), 1, None, False),
    ("[PATCH 6.1/6.6 2/3] x", (2, 3), 1, None, False),
    ("[PATCH 30 6/7] x", (6, 7), 30, None, False),
    ("[PATCH 5.10 12/290] x", (12, 290), 1, None, False),
    ("[PATCH v7 0/3] [PATCH v6 0/3] x", (0, 3), 7, None, False),
    ("[PATCH 1/2] v3 x", (1, 2), 3, None, False),
    ("[PATCH 1/2] x (v3)", (1, 2), 3, None, False),
    ("[Qemu-devel] Re: [PATCH 1/2] x", (1, 2), 1, None, True),
    ("RE: [PATCH 1/2] x", (1, 2), 1, None, True),
    ("AW: [PATCH 1/2] x", (1, 2), 1, None, True),
    ("SV: [PATCH 1/2] x", (1, 2), 1, None, True),
    ("Antw: [PATCH 1/2] x", (1, 2), 1, None, True),
    ("R: [PATCH 1/2] x", (1, 2), 1, None, True),
    ("Re[2]: [PATCH 1/2] x", (1, 2), 1, None, True),
    ("回复: [PATCH v2 1/2] x", (1, 2), 2, None, True),
    ("答复：[PATCH] x", (None, None), 1, None, True),
    ("Fwd: [PATCH] x", (None, None), 1, None, True),
    ("Subject: [PATCH 1/2] x", (1, 2), 1, None, False),
    ("PATCH 1/3: x", (1, 3), 1, None, False),
    ("[PATCH 1/3]: x", (1, 3), 1, None, False),
    ("[PATCH-for-9.0 v3 1/2] x", (1, 2), 3, None, False),
    ("[PULL 00/20] x", (0, 20), 1, None, False),
    ("[Qemu-devel] [PATCH v2] x", (None, None), 2, None, False),
    ("[RFC PATCH v2 0/3] x", (0, 3), 2, None, False),
    ("[PATCH RFC v3 3/12] x", (3, 12), 3, None, False),
    ("[RESEND PATCH v3 1/3] x", (1, 3), 3, None, False),
    ("Re: [PATCH v4?] x", (None, None), 4, None, True),
    ("[RFC PATCH-for-4.1? v2 5/5] x", (5, 5), 2, None, False),
    ("[PATCH 00/5] x", (0, 5), 1, None, False),
    ("[net v2 1/3] x", (1, 3), 2, None, False),
    ("[patch 3/7] x", (3, 7), 1, None, False),
    ("[External] [PATCH v2] x", (None, None), 2, None, False),
    ("Re:[PATCH v2 1/3] x", (1, 3), 2, None, True),
    ("SV: AW: Re: [PATCH v2 1/3] x", (1, 3), 2, None, True),
    ("[RFT][PATCH v1 1/3] x", (1, 3), 1, None, False),
    ("[PATCH 1/12] x", (1, 12), 1, None, False),
    ("[PATCH v5.5 00/30] x", (0, 30), 5, 5, False),
    ("[PATCH v6.6 1/3] x", (1, 3), 6, 6, False),
    ("mm: [PATCH 1/2] x", (1, 2), 1, None, False),
    ("[PATCH 3/2] x", (3, 2), 1, None, False),
]


@pytest.mark.parametrize(("text", "numbers", "version", "reroll", "reply"), GRAMMAR, ids=[case[0] for case in GRAMMAR])
def test_tags_are_understood(
    text: str, numbers: tuple[int | None, int | None], version: int, reroll: int | None, reply: bool
) -> None:
    subject = parse(text, "qemu-devel")
    assert (subject.number, subject.total) == numbers
    assert subject.version == version
    assert subject.reroll == reroll
    assert subject.reply is reply
    assert subject.title == "x" or subject.title.startswith(("x ", "v3 x"))


def test_a_bracket_at_the_end_is_no_tag() -> None:
    subject = parse("This is a [patch]")
    assert subject.tags == ()
    assert subject.title == "This is a [patch]"


def test_the_old_subject_in_parentheses_is_no_title() -> None:
    subject = parse("XDP maintainer match (Was  [PATCH v2 0/2] hwmon: new driver)")
    assert (subject.title, subject.number, subject.reply) == ("XDP maintainer match", None, False)


def test_resend_and_rfc_are_told() -> None:
    assert parse("[RESEND PATCH v3 1/3] x").resend
    assert parse("[REPOST PATCH] x").resend
    assert parse("[PATCH RFT] x").rfc
    assert parse("[RFC v2] x").rfc
    for tags in (
        "PATCH/RFC 03/17",
        "PATCH-RFC",
        "RFC/RFT PATCH",
        "RFCv3 1/2",
        "PATCH RFCv2 1/2",
        "PATCH,RFC",
        "RFC_PATCH",
    ):
        assert parse(f"[{tags}] x").rfc, tags
    for tags in ("PATCH", "PATCH arfc", "PATCH rfcomm", "PATCH rfc2616", "PATCH x.rfc"):
        assert not parse(f"[{tags}] x").rfc, tags
    assert not parse("[PATCH] resend x, rfc").resend


def test_a_version_that_nobody_wrote_is_marked() -> None:
    assert not parse("[PATCH] x").version_written
    assert parse("[PATCH v1] x").version_written


def test_the_lists_own_tag_is_dropped_from_the_name_only() -> None:
    subject = parse("[edk2-devel] [PATCH] x", "edk2-devel")
    assert subject.name == "x"
    assert subject.tags == ("edk2-devel", "PATCH")
    assert parse("[edk2-devel] [PATCH] x", None).name == "[edk2-devel] x"


@given(st.text(alphabet="[]PATCHv0123456789/. ofRe:,()x", max_size=60))
def test_any_subject_is_read(text: str) -> None:
    subject = parse(text, "x")
    assert subject.version >= 0
    assert len(subject.name) <= 255
    assert (subject.number is None) == (subject.total is None)


def test_so_much_of_a_subject_is_read() -> None:
    assert parse("x" * 2 * MAX_TEXT).text == "x" * MAX_TEXT


@given(st.from_regex(r"(RFC )?PATCH( v[0-9]{1,3})?( [0-9]{1,4}/[0-9]{1,4})?", fullmatch=True))
def test_a_bracket_as_git_writes_it_says_the_same_as_one_that_is_written_otherwise(bracket: str) -> None:
    usual, other = parse(f"[{bracket}] x", None), parse(f"[{bracket.replace(' ', ',')},] x", None)
    assert usual == other._replace(text=usual.text)
