"""Names and addresses, and the person behind a munged From."""

import pytest
from mails import diff, mail

from ingestd.mail import address, author, header
from ingestd.mail.parse import parse
from ingestd.mail.values import Person


@pytest.mark.parametrize(
    ("value", "name", "email"),
    [
        ("Ann Author <ann@example.org>", "Ann Author", "ann@example.org"),
        ('"Author, Ann" <ann@example.org>', "Author, Ann", "ann@example.org"),
        ("Author, Ann <ann@example.org>", "Author, Ann", "ann@example.org"),
        ('"Ann \\"A\\" Author" <ann@example.org>', 'Ann "A" Author', "ann@example.org"),
        ("'Ann Author' <ann@example.org>", "Ann Author", "ann@example.org"),
        ("Ann O'Brien <o'brien@example.org>", "Ann O'Brien", "o'brien@example.org"),
        ("Ann (QEMU) <ann@example.org>", "Ann (QEMU)", "ann@example.org"),
        ("Spencer Ku (=?utf-8?b?5Y+k?=) <s@example.org>", "Spencer Ku (古)", "s@example.org"),
        ("ann@example.org", "", "ann@example.org"),
        ("<ann@example.org>", "", "ann@example.org"),
        ("ann@example.org (Ann Author)", "Ann Author", "ann@example.org"),
        ("ann at example.org (Ann Author)", "Ann Author", "ann@example.org"),
        ("root@localhost", "", "root@localhost"),
        ("Ann <ann+list@example.org>", "Ann", "ann+list@example.org"),
        ("=?utf-8?q?Ann=2C_A?= <ann@example.org>", "Ann, A", "ann@example.org"),
        ('"=?utf-8?q?J=C3=BCrgen?=" <j@example.org>', "Jürgen", "j@example.org"),
        ("=?utf-8?b?QW5uIDxhbm5AZXhhbXBsZS5vcmc+?=", "Ann", "ann@example.org"),
        ("Ann<ann@example.org>", "Ann", "ann@example.org"),
        ("Ann  Author\n <ann@example.org>", "Ann Author", "ann@example.org"),
        ("Ann <ann@example.org<mailto:ann@example.org>>", "Ann", "ann@example.org"),
        ("Ann <ann@bücher.example>", "Ann", "ann@bücher.example"),
        ("Ann <ann@example.org", "Ann", "ann@example.org"),
        ("~user <user@git.sr.ht>", "~user", "user@git.sr.ht"),
        ("Nobody", "Nobody", ""),
        ("", "", ""),
    ],
)
def test_a_person(value: str, name: str, email: str) -> None:
    assert address.person(value) == Person(name, email)


def test_people_of_one_field() -> None:
    people = address.people('A <a@x>, "B, C" <b@x>; d@x (D), Group: e@x, f@x;')
    assert [one.email for one in people] == ["a@x", "b@x", "d@x", "e@x", "f@x"]


def test_the_author_of_a_cover_is_whom_its_text_names() -> None:
    read = parse(mail("1@x", "[PATCH 0/2] x", "From: Ann Author <ann@work.org>\n\nWhy.\n", author="ann@example.org"))
    assert (read.author, read.author_evidence) == (Person("Ann Author", "ann@work.org"), "in-body From")
    assert read.sender == read.submitter == Person("", "ann@example.org")


def test_from_is_the_author_of_an_ordinary_mail() -> None:
    read = parse(mail("1@x", "[PATCH] x", diff()))
    assert read.author == read.sender == read.submitter == Person("Ann Author", "ann@example.org")
    assert (read.author_evidence, read.munged) == ("from", False)


@pytest.mark.parametrize(
    ("author", "headers", "expected", "evidence"),
    [
        (
            "Ann Author via demo <demo@example.org>",
            [("X-Original-From", "Ann Author <ann@home.org>")],
            Person("Ann Author", "ann@home.org"),
            "x-original-from",
        ),
        (
            "Ann Author via demo <demo@example.org>",
            [("Reply-To", "Ann Author <ann@home.org>")],
            Person("Ann Author", "ann@home.org"),
            "reply-to",
        ),
        (
            '"Author, Ann via demo" <demo@example.org>',
            [("Reply-To", '"Author, Ann" <ann@home.org>')],
            Person("Author, Ann", "ann@home.org"),
            "reply-to",
        ),
        (
            '"Author, Ann via demo" <demo@example.org>',
            [("Cc", "Bob <b@x.org>, Ann Author <ann@home.org>"), ("Reply-To", "demo@example.org")],
            Person("Ann Author", "ann@home.org"),
            "cc",
        ),
        (
            "Ann Author via demo <demo@example.org>",
            [("Reply-To", "ann@home.org")],
            Person("Ann Author", "ann@home.org"),
            "reply-to",
        ),
        (
            "Ann  Author via <demo@example.org>",
            [("Reply-to", " Ann Author <ann@home.org>")],
            Person("Ann Author", "ann@home.org"),
            "reply-to",
        ),
        (
            "Ann Author via B4 Relay <devnull+ann.home.org@kernel.org>",
            [("X-Original-From", "Ann Author <ann@home.org>")],
            Person("Ann Author", "ann@home.org"),
            "x-original-from",
        ),
        (
            "Ann Author via demo <demo@example.org>",
            [("X-Original-Sender", "ann@home.org")],
            Person("Ann Author", "ann@home.org"),
            "x-original-sender",
        ),
        (
            "Ann Author via demo <demo@example.org>",
            [("Author", "Ann Author <ann@home.org>")],
            Person("Ann Author", "ann@home.org"),
            "author",
        ),
        (
            "Ann Author via demo <demo@example.org>",
            [("X-Mailman-Original-From", "Ann Author <ann@home.org>")],
            Person("Ann Author", "ann@home.org"),
            "x-mailman-original-from",
        ),
        (
            "Ann via Foo via demo <demo@example.org>",
            [("Reply-To", "Ann <ann@home.org>")],
            Person("Ann", "ann@home.org"),
            "reply-to",
        ),
        (
            "=?utf-8?q?J=C3=BCrgen_via_demo?= <demo@example.org>",
            [("Reply-To", "=?utf-8?q?J=C3=BCrgen?= <j@home.org>")],
            Person("Jürgen", "j@home.org"),
            "reply-to",
        ),
        (
            "demo@example.org",
            [("List-Post", "<mailto:demo@example.org>"), ("Reply-To", "Ann <ann@home.org>, demo@example.org")],
            Person("Ann", "ann@home.org"),
            "reply-to",
        ),
        (
            "Ann Author via B4 Relay <devnull+ann.home.org@kernel.org>",
            [("Reply-To", "ann@home.org")],
            Person("Ann Author", "ann@home.org"),
            "reply-to",
        ),
        (
            "Ann Author via demo <demo@example.org>",
            [("Reply-To", "a@x.org, b@x.org")],
            Person("Ann Author via demo", "demo@example.org"),
            "from, munged",
        ),
    ],
)
def test_a_munged_from_is_undone(author: str, headers: list[tuple[str, str]], expected: Person, evidence: str) -> None:
    read = parse(mail("1@x", "[PATCH] x", diff(), author=author, headers=headers))
    assert read.author == read.submitter == expected
    assert read.author_evidence == evidence
    assert read.munged
    assert read.sender.email == address.person(author).email


def test_two_strangers_behind_one_list_stay_two() -> None:
    one = parse(mail("1@x", "x", author="Ann via demo <demo@example.org>"))
    two = parse(mail("2@x", "x", author="Bob via demo <demo@example.org>"))
    assert one.author != two.author


def test_a_name_with_via_in_it_is_no_munging_by_itself() -> None:
    read = parse(mail("1@x", "x", author="Via Rail <via@example.org>"))
    assert not read.munged


def test_the_in_body_from_is_the_author_and_the_header_the_sender() -> None:
    read = parse(mail("1@x", "[PATCH] x", "From: Bob Both <bob@home.org>\n\nMessage.\n---\n" + diff()))
    assert read.author == Person("Bob Both", "bob@home.org")
    assert read.author_evidence == "in-body From"
    assert read.sender == read.submitter == Person("Ann Author", "ann@example.org")
    assert read.parts.message == "Message."


def test_an_in_body_from_that_a_list_munged_is_healed_by_a_trailer() -> None:
    body = (
        "From: Chen Zhang via demo <demo@example.org>\n\nMessage.\n\nSigned-off-by: Chen Zhang <chen@home.org>\n"
        "Signed-off-by: Ann Author <ann@example.org>\n---\n" + diff()
    )
    assert parse(mail("1@x", "[PATCH] x", body)).author == Person("Chen Zhang", "chen@home.org")


def test_in_body_froms_that_contradict_each_other_are_not_believed() -> None:
    body = "From: Bob <bob@x.org>\n\nFrom: Carl <carl@x.org>\n\nMessage.\n---\n" + diff()
    read = parse(mail("1@x", "[PATCH] x", body))
    assert read.author == Person("Ann Author", "ann@example.org")
    assert read.author_evidence == "from, in-body Froms disagree"


def test_an_in_body_from_may_be_encoded() -> None:
    read = parse(mail("1@x", "[PATCH] x", "From: =?utf-8?q?J=C3=BCrgen?= <j@home.org>\n\nWhy.\n---\n" + diff()))
    assert (read.author, read.parts.message) == (Person("Jürgen", "j@home.org"), "Why.")


def test_an_in_body_from_without_an_address_makes_no_author() -> None:
    assert parse(mail("1@x", "[PATCH] x", "From: Ann\n\nWhy.\n---\n" + diff())).author.email == "ann@example.org"


def test_a_quoted_from_in_an_answer_makes_no_author() -> None:
    read = parse(mail("1@x", "Re: [PATCH] x", "From: Bob <bob@x.org>\n\n> text\n"))
    assert read.author.email == "ann@example.org"


def test_people_are_counted_over_all_fields_of_a_kind() -> None:
    line = "Cc: Ann Author <ann{0}@example.org>, Bob Both <bob{0}@example.org>\n"
    cc = "".join(map(line.format, range(address.MAX_PEOPLE)))
    headers, _, _ = header.read(f"To: t@x.org\n{cc}\n".encode())
    assert [one.email for one in address.of_fields(headers, "to", "cc")][:2] == ["t@x.org", "ann0@example.org"]
    assert len(address.of_fields(headers, "to", "cc")) == address.MAX_PEOPLE


def test_of_angles_up_to_the_next_comma_the_last_one_counts() -> None:
    people = address.people("A <a@x> <b@x>, <c@x> <d, e@x> <f@x>, g@x")
    assert [one.email for one in people] == ["b@x", "f@x", "g@x"]


@pytest.mark.parametrize(
    ("value", "people"),
    [
        ('"A, (B" <a@x>, "C\\", D" <c@x>', ["a@x", "c@x"]),
        ('"A <a@x>, B <b@x>', ["a@x", "b@x"]),
        ("a@x (A, (B, C), D), b@x", ["a@x", "b@x"]),
        ("a@x ((A, B)), b@x (C) (D, E)", ["a@x", "b@x"]),
        ('<"a,b"@x>, c@x', ['"a,b"@x', "c@x"]),
        ('a@x "' + "y" * 1000 + '", b@x', ["a@x", "b@x"]),
    ],
)
def test_commas_in_quotes_and_comments_part_nobody(value: str, people: list[str]) -> None:
    assert [one.email for one in address.people(value) if one.email] == people


@pytest.mark.parametrize(
    "copy", ["Conan O'Brien", '"OBrien, Conan"', '"Conan \\O\'Brien"', "=?utf-8?q?Conan_O'Brien?="]
)
def test_a_munged_author_is_found_among_the_copies(copy: str) -> None:
    headers, _, _ = header.read(f"From: Conan O'Brien via demo <d@x>\nCc: Bob <b@x>, {copy} <c@x>\n\n".encode())
    assert author.of_header(headers, "demo").submitter.email == "c@x"


def test_the_first_places_of_a_field_count() -> None:
    assert address.person("a," * (address.MAX_BEFORE - 1) + "a@x").email == "a@x"
    assert address.person("a," * address.MAX_BEFORE + "a@x").email == ""
