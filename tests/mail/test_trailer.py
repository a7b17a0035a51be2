"""Trailers in messages and in answers."""

import pytest
from mails import diff, mail

from ingestd.mail import trailer
from ingestd.mail.parse import parse


def _message(text: str) -> list[tuple[str, str]]:
    return [(one.name, one.value) for one in trailer.of_message(text)]


def _answer(text: str) -> list[tuple[str, str]]:
    return [(one.name, one.value) for one in trailer.of_answer(text)]


def test_the_last_paragraph() -> None:
    text = (
        'Why: because.\n\nReported-by: "Doe, Jane" <jane@x.org>\nFixes: abcdef01234567890 ("x")\n'
        "Link: https://example.org/r/1\nCc: bare@x.org\nSigned-off-by: Ann <ann@x.org>\n"
    )
    assert _message(text) == [
        ("Reported-by", '"Doe, Jane" <jane@x.org>'),
        ("Fixes", 'abcdef01234567890 ("x")'),
        ("Link", "https://example.org/r/1"),
        ("Cc", "bare@x.org"),
        ("Signed-off-by", "Ann <ann@x.org>"),
    ]
    people = {one.name: (one.person_name, one.person_email) for one in trailer.of_message(text)}
    assert people["Reported-by"] == ("Doe, Jane", "jane@x.org")
    assert people["Cc"] == (None, "bare@x.org")
    assert people["Fixes"] == (None, None)


def test_notes_and_folds() -> None:
    text = (
        "Why.\n\nReviewed-by: Ann <ann@x.org> # initial submission\n[for the parts that are bogus]\n"
        'Signed-off-by: Wrapped Persontrailer\n<broken@x.org>\nFixes: abcdef0 ("a long\n title")\n'
    )
    found = trailer.of_message(text)
    assert [(one.name, one.person_name, one.person_email) for one in found] == [
        ("Reviewed-by", "Ann", "ann@x.org"),
        ("Signed-off-by", "Wrapped Persontrailer", "broken@x.org"),
        ("Fixes", None, None),
    ]
    assert found[0].value.endswith("# initial submission")
    assert found[2].value == 'abcdef0 ("a long title")'


def test_any_blanks_before_the_colon_as_for_git() -> None:
    assert _message("Why.\n\nAcked-by        : Ann <ann@x.org>\nCc\t: Bob <bob@x.org>\n") == [
        ("Acked-by", "Ann <ann@x.org>"),
        ("Cc", "Bob <bob@x.org>"),
    ]


def test_the_base_of_a_cover_is_no_trailer_and_gerrits_id_is_one() -> None:
    text = "Why.\n\nbase-commit: 0123456789abcdef\nprerequisite-patch-id: 0123456789\nchange-id: 20261102-x-0123\n"
    assert _message(text) == []
    assert _message("Why.\n\nChange-Id: I0123\nSigned-off-by: Ann <ann@x.org>\n") == [
        ("Change-Id", "I0123"),
        ("Signed-off-by", "Ann <ann@x.org>"),
    ]


def test_an_indented_patch_below_a_trailer_is_not_of_its_value() -> None:
    text = "    Reviewed-by: Ann <ann@x.org>\n    ---\n     f | 2 +-\n"
    assert _answer(text.replace("    Rev", "Rev")) == [("Reviewed-by", "Ann <ann@x.org>")]


def test_people_above_the_last_paragraph_count_and_prose_does_not() -> None:
    text = "Note: this is prose.\nSee: there.\n\nReviewed-by: Ann <ann@x.org>\n\nSigned-off-by: Bob <bob@x.org>\n"
    assert _message(text) == [("Reviewed-by", "Ann <ann@x.org>"), ("Signed-off-by", "Bob <bob@x.org>")]


def test_a_last_paragraph_of_prose_has_no_trailers() -> None:
    assert _message("Why.\n\nThis is\na long paragraph of\nplain prose with\none colon\nfoo: in it\n") == []


@pytest.mark.parametrize(
    ("line", "name", "person", "email"),
    [
        ("Reviewed-by: Ann <ann@x.org>", "Reviewed-by", "Ann", "ann@x.org"),
        ("Reviewed-By: Ann <ann@x.org>", "Reviewed-By", "Ann", "ann@x.org"),
        ("tESTed-bY: Ann <ann@x.org>", "tESTed-bY", "Ann", "ann@x.org"),
        ("  Acked-by: Ann <ann@x.org>", "Acked-by", "Ann", "ann@x.org"),
        ("Reviewed-by:ann@x.org", "Reviewed-by", None, "ann@x.org"),
        ("Reviewed-by : Ann <ann@x.org>", "Reviewed-by", "Ann", "ann@x.org"),
        ("Reviewed-by:\u00a0Ann <ann@x.org>", "Reviewed-by", "Ann", "ann@x.org"),
        ("Reviewed-by: Joel", "Reviewed-by", "Joel", None),
        ("Reviewed-by: Ann (corporate) <ann@x.org>", "Reviewed-by", "Ann (corporate)", "ann@x.org"),
        ("Reviewed-by: Author, Ann <ann@x.org>", "Reviewed-by", "Author, Ann", "ann@x.org"),
        ("Reviewed-by: Ann <ann@x.org<mailto:ann@x.org>>", "Reviewed-by", "Ann", "ann@x.org"),
        ("Reviewed-by: Philippe Mathieu-Daudé <f@x.org>", "Reviewed-by", "Philippe Mathieu-Daudé", "f@x.org"),
        ("Acked-by: Kuppuswamy\n<k@x.org>", "Acked-by", "Kuppuswamy", "k@x.org"),
    ],
)
def test_an_answer_gives_a_trailer(line: str, name: str, person: str | None, email: str | None) -> None:
    found = trailer.of_answer(f"Fine.\n\n{line}\n\nAnn\n")
    assert [(one.name, one.person_name, one.person_email) for one in found] == [(name, person, email)]


@pytest.mark.parametrize(
    "text",
    [
        "> Reviewed-by: Ann <ann@x.org>",
        "    > Signed-off-by: Ann <ann@x.org>",
        "Note: this",
        "You can add my Reviewed-by, thanks.",
        "Fixes: ?",
        "Fixes: the build for me",
        "Link: somewhere",
        "http://example.org/by:",
    ],
)
def test_an_answer_gives_none(text: str) -> None:
    assert _answer(f"Hello,\n\n{text}\n") == []


def test_an_answers_fixes_and_links() -> None:
    assert _answer('Fixes: 0123456789ab ("x")\nLink: https://x.org/1\nCloses: https://x.org/2\n') == [
        ("Fixes", '0123456789ab ("x")'),
        ("Link", "https://x.org/1"),
        ("Closes", "https://x.org/2"),
    ]


def test_a_patch_keeps_its_message_id_trailer_and_its_quoted_ones_out() -> None:
    body = (
        "Why.\n\n> Acked-by: Old <old@x.org>\n\nMessage-Id: <1@x>\nSigned-off-by: Ann <ann@x.org>\n"
        "---\nAcked-by: Below <b@x>\n"
    )
    read = parse(mail("2@x", "[PATCH] x", body + diff()))
    assert [(one.name, one.value) for one in read.trailers] == [
        ("Message-Id", "<1@x>"),
        ("Signed-off-by", "Ann <ann@x.org>"),
    ]


def test_a_capital_i_with_a_dot_hides_no_trailer() -> None:
    """Its lower case has two characters."""
    assert _answer("İ" * 40 + "\nTested-by: X\n") == [("Tested-by", "X")]


def test_so_many_trailers_are_read() -> None:
    """Of the last paragraph the last ones: a sign-off stands there."""
    real = "Cc: Ann Author <ann@example.organization>\n"
    assert len(_message(real * (trailer.MAX_TRAILERS + 1))) == trailer.MAX_TRAILERS
    assert len(_message("a: b\n" * 1_000)) == 20 + 5 * 1_000 // 32
    read = _message("Cc: u@x.org\n" * 1_000 + "Signed-off-by: Ann <ann@x.org>\n")
    assert read[-1] == ("Signed-off-by", "Ann <ann@x.org>")


def test_other_names_above_the_last_paragraph_cost_nothing() -> None:
    text = "a:\ncycles: 7\nAccess: 1\n" * 1_000 + "\nAcked-by: Bob <bob@x.org>\n\nSigned-off-by: Ann <ann@x.org>\n"
    assert _message(text) == [("Acked-by", "Bob <bob@x.org>"), ("Signed-off-by", "Ann <ann@x.org>")]
