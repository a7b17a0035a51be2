"""The facts that Patchew's own tests assert of its mails, and those of other tools on mails written here."""

from datetime import UTC, datetime

import pytest
from mails import diff, mail

from ingestd.mail import address
from ingestd.mail.parse import parse
from ingestd.mail.values import Change, Kind, Link, Mail

from . import corpus


def _read(name: str) -> list[Mail]:
    folder = corpus.need("corpus", "patchew")
    path = next(path for path in sorted(folder.iterdir()) if path.name.startswith(name))
    return [parse(raw) for raw in corpus.messages(path)]


def _trailers(read: Mail) -> list[str]:
    return [f"{one.name}: {one.value}" for one in read.trailers]


def _header(read: Mail, name: str) -> str:
    return next(value for field, value in read.headers if field.lower() == name)


def test_0001_simple_patch() -> None:
    (read,) = _read("0001")
    assert read.subject.text == "[Qemu-devel] [PATCH] quorum: Only compile when supported"
    assert read.subject.title == read.subject.name == "quorum: Only compile when supported"
    assert (read.subject.version, read.subject.number, read.kind) == (1, None, Kind.PATCH)
    assert read.date == datetime(2016, 6, 28, 1, 47, 47, tzinfo=UTC)
    assert read.author.name == "Fam Zheng"
    recipients = address.people(_header(read, "to")) + address.people(_header(read, "cc"))
    assert [one.email.partition("@")[0] for one in recipients] == [
        "qemu-devel",
        "kwolf",
        "berto",
        "qemu-block",
        "mreitz",
    ]
    assert recipients[1].name == "Kevin Wolf"


def test_0002_unusual_cased_tags() -> None:
    (read,) = _read("0002")
    names = [one.name for one in read.trailers]
    assert "Reviewed-By" in names
    assert "tESTed-bY" in names
    assert next(one.person_name for one in read.trailers if one.name == "Reviewed-By") == "Fam Zheng"


def test_0003_single_patch_reviewed() -> None:
    reads = _read("0003")
    assert [read.kind for read in reads] == ["patch", "reply", "reply"]
    given = [trailer for read in reads[1:] for trailer in _trailers(read)]
    assert given == ["Reviewed-by: Aurelien Jarno <aurelien@aurel32.net>"]


def test_0004_multiple_patch_reviewed() -> None:
    reads = _read("0004")
    assert [read.kind for read in reads] == ["cover", "reply", "reply", "patch", "patch"]
    assert [(read.subject.version, read.subject.number, read.subject.total) for read in reads] == [
        (4, 0, 2),
        (4, 0, 2),
        (4, 0, 2),
        (4, 1, 2),
        (4, 2, 2),
    ]
    assert all(reads[0].message_id in read.in_reply_to for read in reads[1:3])
    assert ["-2-" in reads[3].message_id, "-3-" in reads[4].message_id] == [True, True]
    assert [read.charset for read in reads[1:3]] == ["utf-8", "iso-8859-15"]
    assert not any(read.lossy or "PGP" in (read.content or "") for read in reads[1:3])
    assert any(trailer.startswith("Reviewed-by: Eric Blake") for read in reads[1:3] for trailer in _trailers(read))
    assert not any("Eric Blake" in trailer for read in reads[3:] for trailer in _trailers(read))


@pytest.mark.parametrize(
    ("name", "version", "number", "total", "kind"),
    [
        ("0005", 5, 11, 13, "reply"),
        ("0006", 6, 3, 4, "reply"),
        ("0007", 1, 1, 2, "patch"),
        ("0010", 1, 0, 3, "cover"),
        ("0034", 6, 11, 11, "patch"),
    ],
)
def test_mails_whose_bytes_do_not_fit_are_accepted(name: str, version: int, number: int, total: int, kind: str) -> None:
    (read,) = _read(name)
    assert (read.subject.version, read.subject.number, read.subject.total, read.kind) == (version, number, total, kind)
    assert read.content


@pytest.mark.parametrize("name", ["0005", "0006"])
def test_latin_1_is_read_as_declared(name: str) -> None:
    (read,) = _read(name)
    assert (read.charset, read.lossy, read.defects) == ("iso-8859-1", False, ())


def test_0007_has_the_patch_id_of_git() -> None:
    (read,) = _read("0007")
    assert read.patch_id is not None
    assert read.patch_id.startswith("c01060b504")


def test_0008_complex_diffstat() -> None:
    (read,) = _read("0008")
    lines = read.parts.diffstat.split("\n")
    assert sum("|" in line for line in lines) == 9
    assert sum("{i2c => display}" in line for line in lines) >= 2
    assert " 9 files changed, 10 insertions(+), 10 deletions(-)" in lines
    assert sum(line.startswith(" rename ") for line in lines) == 2
    assert sum(file.change is Change.RENAME for file in read.files) == 2


def test_0009_obsolete_by() -> None:
    reads = _read("0009")
    assert [read.subject.version for read in reads] == [1, 2, 3]
    assert len({(read.subject.title, read.author) for read in reads}) == 1
    assert reads[2].date is not None
    assert reads[1].date is not None
    assert reads[2].date < reads[1].date


def test_0010_invalid_byte() -> None:
    (read,) = _read("0010")
    assert (
        read.subject.text == '[edk2] [PATCH 0/3] Revert "ShellPkg: Fix echo to support displaying special characters"'
    )


def test_0012_incomplete_series() -> None:
    reads = _read("0012")
    assert [(read.kind, read.subject.number, read.subject.total) for read in reads] == [
        ("cover", 0, 2),
        ("reply", 0, 2),
        ("reply", 0, 2),
        ("patch", 1, 2),
    ]


def test_0013_and_0037_are_one_patch_to_foo() -> None:
    first, again = _read("0013")[0], _read("0037")[0]
    assert [file.path for file in first.files] == [file.path for file in again.files] == ["foo"]
    assert first.patch_id == again.patch_id
    assert first.hash == again.hash


@pytest.mark.parametrize("name", ["0014", "0015"])
def test_based_on_with_and_without_brackets(name: str) -> None:
    assert _read(name)[0].links == (Link("based-on", _read("0013")[0].message_id),)


def test_0016_nested_multipart() -> None:
    (read,) = _read("0016")
    assert read.content is not None
    assert "PGP" not in read.content
    assert "https://www.redhat.com/mailman" not in read.content
    assert read.author.name == "Eric Blake"
    assert "\nACK\n" in read.content
    assert read.content.endswith("Virtualization:  qemu.org | libvirt.org")
    assert read.trailers == ()


def test_0018_mime_word_recipient() -> None:
    (read,) = _read("0018")
    assert any(
        (one.name, one.email) == ("Philippe Mathieu-Daudé", "f4bug@amsat.org")
        for one in address.people(_header(read, "cc"))
    )
    assert read.subject.resend


def test_subprojects_are_in_the_tags() -> None:
    assert _read("0017")[0].subject.tags[-2:] == ("qemu-web", "PATCH")
    assert "python" in _read("0019")[0].subject.tags
    assert _read("0020")[0].subject.tags == ("libvirt", "PATCH", "v2")


def test_0021_mode_only_patch() -> None:
    (read,) = _read("0021")
    assert read.kind is Kind.PATCH
    assert {file.change for file in read.files} == {Change.MODE}
    assert len(read.files) == 9
    assert "9 files changed, 0 insertions(+), 0 deletions(-)" in read.parts.diffstat
    assert read.parts.diffstat.count("mode change") == 9


def test_0023_a_patch_for_two_projects() -> None:
    (read,) = _read("0023")
    assert (read.kind, read.subject.number, read.subject.total) == (Kind.PATCH, 1, 7)
    recipients = {
        one.email for field, value in read.headers if field.lower() in ("to", "cc") for one in address.people(value)
    }
    assert {"qemu-devel@nongnu.org", "edk2-devel@lists.01.org"} <= recipients


def test_0025_review_and_0027_based_on_in_an_answer() -> None:
    review = _read("0025")[0]
    assert (review.kind, len(review.trailers)) == (Kind.REPLY, 1)
    answer = _read("0027")[0]
    assert (answer.kind, answer.links) == (Kind.REPLY, (Link("based-on", _read("0026")[0].message_id),))


def test_0028_names_beyond_ascii() -> None:
    reads = _read("0028")
    assert any("Philippe Mathieu-Daudé" in trailer for trailer in _trailers(reads[1]))


def test_0029_diffstat_in_patch() -> None:
    (read,) = _read("0029")
    assert "Bin 4961 -> 2575 bytes" in read.parts.diffstat
    assert sorted(file.path for file in read.files if file.binary) == ["tests/data/0008-complex-diffstat.mbox.gz"]


def test_0030_obsolete_by_v3() -> None:
    reads = _read("0030")
    assert [(read.kind, read.subject.version) for read in reads] == [("patch", 1), ("patch", 2), ("patch", 3)]
    assert len({(read.subject.title, read.author) for read in reads}) == 1


def test_supersedes_in_a_cover_and_in_an_answer() -> None:
    first, second = _read("0031")
    assert (first.kind, second.kind) == (Kind.COVER, Kind.COVER)
    assert second.links == (Link("supersedes", first.message_id),)
    reads = _read("0032")
    answer = next(read for read in reads if read.kind is Kind.REPLY)
    assert [link.type for link in answer.links] == ["supersedes"]
    assert answer.links[0].target in {read.message_id for read in reads}


def test_0033_raw_diff() -> None:
    (read,) = _read("0033")
    assert (read.kind, read.patch_id) == (Kind.PATCH, None)
    assert [file.path for file in read.files] == ["xen/common/memory.c"]


def test_0034_rename_only_patch() -> None:
    (read,) = _read("0034")
    assert {file.change for file in read.files} == {Change.RENAME}


def test_0035_rfc2047_from() -> None:
    (read,) = _read("0035")
    assert read.author.email == "AIERPATIJIANG1@kingsoft.com"
    assert (read.kind, [file.path for file in read.files]) == (Kind.PATCH, ["hw/char/virtio-serial-bus.c"])


def test_0036_patch_with_no_to_header() -> None:
    (read,) = _read("0036")
    assert (read.kind, read.list_id) == (Kind.PATCH, "linux-kernel.vger.kernel.org")
    assert not any("@" in one.email for one in address.people(_header(read, "to")))


def test_0037_without_message_id() -> None:
    (read,) = _read("0037")
    assert read.message_id.endswith("@missing.invalid")
    assert read.kind is Kind.PATCH


def test_0038_octet_stream() -> None:
    (read,) = _read("0038")
    assert (read.kind, read.subject.number) == (Kind.PATCH, 3)
    assert read.content is not None
    assert "Signed-off-by" in read.content
    assert any(trailer.startswith("Message-Id: ") for trailer in _trailers(read))


# Facts that b4 and public-inbox assert, on mails of our own.


def test_a_reply_without_re_is_one() -> None:
    body = "On Monday Ann wrote:\n> a\n> b\n> c\n\nReviewed-by: Bob <bob@x.org>\n"
    read = parse(mail("2@x", "[PATCH] x", body, reply_to="1@x", author="Bob <bob@x.org>"))
    assert (read.kind, _trailers(read)) == (Kind.REPLY, ["Reviewed-by: Bob <bob@x.org>"])


@pytest.mark.parametrize("subject", ["[PATCH] x", "[PATCH 1/2] x", "x"])
def test_a_reply_without_re_that_quotes_nothing_gives_its_trailers(subject: str) -> None:
    read = parse(mail("2@x", subject, "Reviewed-by: Bob <bob@x.org>\n", reply_to="1@x", author="Bob <bob@x.org>"))
    assert (read.kind, _trailers(read)) == (Kind.REPLY, ["Reviewed-by: Bob <bob@x.org>"])


def test_a_diff_without_git_and_with_comments_between_is_a_patch() -> None:
    plain = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n"
    read = parse(
        mail(
            "1@x",
            "[PATCH] x",
            "Why.\n\nSigned-off-by: A <a@x>\n---\n\n" + plain + "\nand\n\n" + plain.replace("f", "g"),
        )
    )
    assert read.kind is Kind.PATCH
    assert [file.path for file in read.files] == ["f", "g"]
    assert read.patch_id is None


def test_a_patch_that_only_brings_a_gzip() -> None:
    binary = (
        "diff --git a/x.gz b/x.gz\nnew file mode 100644\nindex 000..1ab\nGIT binary patch\n"
        "literal 1\nIcmZPo000310RR91\n\nliteral 0\nHcmV?d00001\n\n"
    )
    read = parse(mail("1@x", "[PATCH] x", "Why.\n---\n" + binary + "-- \n2.39.5\n"))
    assert read.diff == binary
    assert [(file.path, file.change, file.binary) for file in read.files] == [("x.gz", Change.ADD, True)]


def test_charsets_that_nobody_knows() -> None:
    read = parse(mail("1@x", "x", "Grüße\n", headers=[("Content-Type", "text/plain; charset=X-UNKNOWN")]))
    assert (read.content, read.charset) == ("Grüße", "utf-8")
    assert "unknown charset" in read.defects


def test_a_forwarded_mail_is_not_what_its_sender_says() -> None:
    body = f"--b\n\nSee below.\n--b\nContent-Type: message/rfc822\n\nSubject: [PATCH] y\n\n{diff()}\n--b--\n"
    read = parse(mail("1@x", "x", body, headers=[("Content-Type", "multipart/mixed; boundary=b")]))
    assert (read.kind, read.content, read.diff) == (Kind.OTHER, "See below.", None)


def test_equal_text_under_one_id_is_one_mail_and_other_text_is_not() -> None:
    one, same, other = (parse(mail("a@dup", "x", text)) for text in ("Text.\n", "Text. \n\n", "Other.\n"))
    assert one.content_key == same.content_key != other.content_key


def test_a_name_in_square_brackets_and_a_name_turned_round() -> None:
    text = "Reviewed-by: Bob [corporate] <bob@x.org>\nTested-by: Tester2, Followup <two@x.org>\n"
    read = parse(mail("2@x", "Re: [PATCH] x", text, reply_to="1@x"))
    assert [(one.person_name, one.person_email) for one in read.trailers] == [
        ("Bob [corporate]", "bob@x.org"),
        ("Tester2, Followup", "two@x.org"),
    ]


def test_fixes_may_name_a_sha256() -> None:
    read = parse(mail("2@x", "Re: [PATCH] x", f'Fixes: {"0123456789abcdef" * 4} ("x")\n', reply_to="1@x"))
    assert [one.name for one in read.trailers] == ["Fixes"]


def test_a_diff_whose_blank_lines_lost_their_blank_has_no_patch_id() -> None:
    plain = "--- a/f\n+++ b/f\n@@ -1,4 +1,4 @@\n a\n\n-b\n+c\n d\n"
    read = parse(mail("1@x", "[PATCH] x", "Why.\n---\n" + plain))
    assert (read.kind, read.patch_id, [file.path for file in read.files]) == (Kind.PATCH, None, ["f"])


def test_a_root_without_number_is_a_cover_by_its_shortlog_and_a_bug_report_is_none() -> None:
    shortlog = "What it is.\n\nAnn Author (2):\n  One\n  Two\n\n f | 2 +-\n 1 file changed, 1 insertion(+)\n"
    assert parse(mail("1@x", "A better x", shortlog)).kind is Kind.COVER
    assert parse(mail("1@x", "x is broken", "It crashes.\n", author="Eve <eve@x.org>")).kind is Kind.OTHER


def test_subject_tags_of_lists_are_no_title() -> None:
    assert parse(mail("1@x", "Re: [tag] x", "Text.\n")).subject.title == "x"


def test_the_footer_of_vger_is_not_what_the_mail_says() -> None:
    footer = (
        '--\nTo unsubscribe from this list: send the line "unsubscribe linux-x" in\nthe body of a message to m@x.org\n'
    )
    assert parse(mail("1@x", "x", "Text.\n" + footer)).content_key == parse(mail("1@x", "x", "Text.\n")).content_key
