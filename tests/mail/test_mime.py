"""MIME shapes, transfer encodings, charsets."""

import base64
import email.message
import email.policy
import quopri

import pytest
from mails import diff

from ingestd.mail import charset, header, markup, mime, text
from ingestd.mail.parse import parse
from ingestd.mail.values import Kind

HEAD = b"From: Ann <ann@example.org>\nSubject: [PATCH] x\nMessage-ID: <1@x>\nDate: Mon, 2 Nov 2026 10:00:00 +0000\n"
BODY = "Message.\n---\n f | 2 +-\n\n" + diff("f")


def _single(body: bytes, kind: str = "text/plain", encoding: str = "8bit", head: bytes = HEAD) -> bytes:
    return head + f"Content-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n".encode() + body


def _multi(kind: str, *parts: tuple[str, str], head: bytes = HEAD) -> bytes:
    body = "".join(f"--=b\n{headers}\n\n{content}\n" for headers, content in parts)
    return head + f'Content-Type: multipart/{kind}; boundary="=b"\n\npreamble\n{body}--=b--\nepilogue\n'.encode()


def _types(raw: bytes) -> list[str]:
    from ingestd.mail import header

    headers, body, _ = header.read(raw)
    return [part.type for part in mime.leaves(headers, body)[0]]


def test_every_transfer_encoding_gives_the_same_mail() -> None:
    plain = parse(_single(BODY.encode()))
    crlf = BODY.replace("\n", "\r\n").encode()
    for encoded, encoding in [
        (base64.encodebytes(BODY.encode()), "base64"),
        (base64.encodebytes(BODY.encode()), "BASE64"),
        (base64.encodebytes(crlf), "base64"),
        (quopri.encodestring(BODY.encode()), "quoted-printable"),
        (quopri.encodestring(crlf).replace(b"\r\n", b"=0D\n"), "quoted-printable"),
        (BODY.encode(), "7bit"),
        (BODY.encode(), "binary"),
    ]:
        mail = parse(_single(encoded, encoding=encoding))
        assert (mail.content, mail.diff, mail.hash, mail.patch_id) == (
            plain.content,
            plain.diff,
            plain.hash,
            plain.patch_id,
        ), encoding
        assert mail.content_key == plain.content_key


@pytest.mark.parametrize("blank", [" ", "\t", "\r", "\f", "\v", "\x85", "\xa0", " \n ", "; ;"])
def test_any_blank_may_stand_behind_a_parameter(blank: str) -> None:
    """It belongs to no value, and no value keeps its semicolon."""
    for end in (f";{blank}", f";{blank}charset=utf-8;{blank}"):
        headers, _, _ = header.read(f"Content-Type: multipart/mixed; format=flowed; boundary=b{end}\n\n".encode())
        kind, parameters = mime.content_type(headers)
        assert (kind, parameters["boundary"], parameters["format"]) == ("multipart/mixed", "b", "flowed")
        assert parameters.get("charset", "utf-8") == "utf-8"


def test_what_a_list_appends_to_base64_is_kept_as_text() -> None:
    encoded = base64.encodebytes(b"Hello, this is a line of text\n") + b"_____\nlist info (here): x\n"
    mail = parse(_single(encoded, encoding="base64"))
    assert mail.content == "Hello, this is a line of text"
    assert "text within base64" in mail.defects


@pytest.mark.parametrize(
    ("raw", "types"),
    [
        (_multi("mixed", ("Content-Type: text/plain", "a"), ("", "b")), ["text/plain", "text/plain"]),
        (
            _multi("alternative", ("Content-Type: text/plain", "a"), ("Content-Type: text/html", "b")),
            ["text/plain", "text/html"],
        ),
        (HEAD + b"Content-Type: multipart/mixed; boundary=b\n\nno parts at all\n", ["text/plain"]),
        (HEAD + b"Content-Type: multipart/mixed\n\nno boundary\n", ["multipart/mixed"]),
        (HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nnot closed", ["text/plain"]),
        (
            HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/signed; boundary=c\n\n"
            b"--c\n\ntext\n--c\nContent-Type: application/pgp-signature\n\nsig\n--c--\n\n--b\n\nfooter\n--b--\n",
            ["text/plain", "application/pgp-signature", "text/plain"],
        ),
        (
            HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n"
            b"--c\n\ninner never closed\n--b\n\nouter goes on\n--b--\n",
            ["text/plain", "text/plain"],
        ),
        (
            HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n"
            b"Subject: inner\n\nwhat somebody else says\n--b--\n",
            ["message/rfc822"],
        ),
    ],
)
def test_the_tree_becomes_a_flat_list(raw: bytes, types: list[str]) -> None:
    assert _types(raw) == types


def test_leaves_agree_with_the_standard_library() -> None:
    outer = email.message.EmailMessage(policy=email.policy.SMTP.clone(linesep="\n"))
    outer["Subject"] = "x"
    outer.set_content("plain\n")
    outer.add_alternative("<p>html</p>\n", subtype="html")
    outer.add_attachment(b"\0\1binary", maintype="application", subtype="octet-stream", filename="ü b.bin")
    outer.add_attachment("attached\n", filename="a.txt")
    from ingestd.mail import header

    headers, body, _ = header.read(outer.as_bytes())
    parts, defects = mime.leaves(headers, body)
    theirs = [part for part in outer.walk() if not part.is_multipart()]
    assert [part.type for part in parts] == [part.get_content_type() for part in theirs]
    assert [part.data for part in parts] == [part.get_payload(decode=True) for part in theirs]
    assert [part.filename for part in parts] == [part.get_filename() or "" for part in theirs]
    assert defects == []


def test_depth_and_number_are_bounded() -> None:
    deep = HEAD + b"Content-Type: multipart/mixed; boundary=b0\n\n"
    for depth in range(5000):
        deep += b"--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n" % (depth, depth + 1)
    mail = parse(deep + b"--b5000\n\nbottom\n")
    assert f"more than {mime.MAX_MULTIPARTS} multiparts" in mail.defects
    many = parse(HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 100_000)
    assert f"more than {mime.MAX_PARTS} MIME parts" in many.defects
    assert many.content
    small = HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n"
    assert parse(small + b"--b\n\nx\n" * 6 + b"--b--\n").defects == ()
    assert parse(small + b"--b\n\nx\n" * 7 + b"--b--\n").defects == ("more than 6 MIME parts",)


def test_a_series_attached_is_read_whole() -> None:
    why = "Say in two or three long lines why this is done, and who wants it.\n" * 4
    patch = f"From: Ann <ann@example.org>\nSubject: x\n\n{why}---\n"
    names = [f"{number}.c" for number in range(100)]
    attached = [("Content-Type: text/x-patch\nContent-Disposition: attachment", patch + diff(name)) for name in names]
    mail = parse(_multi("mixed", ("Content-Type: text/plain", "See attachments.\n"), *attached))
    assert [file.path for file in mail.files] == names
    assert mail.defects == ()


def test_html_only_mail_becomes_text_and_says_so() -> None:
    mail = parse(
        _single(
            b"<html><head><style>x{}</style></head><body><p>Hello&nbsp;all,<br>two &lt; three</p></body>", "text/html"
        )
    )
    assert mail.content == "Hello all,\ntwo < three"
    assert "text made from HTML" in mail.defects
    assert mail.charset == "utf-8"


def test_a_quote_in_html_is_not_the_senders_word() -> None:
    answer = (
        b"Fine.<blockquote type=cite>Reviewed-by: Bob &lt;bob@x.org&gt;</blockquote>Acked-by: Ann &lt;ann@x.org&gt;"
    )
    head = HEAD.replace(b"[PATCH] x", b"Re: [PATCH] x")
    mail = parse(_single(answer, "text/html; charset=iso-8859-1", head=head))
    assert mail.content == "Fine.\n> Reviewed-by: Bob <bob@x.org>\nAcked-by: Ann <ann@x.org>"
    assert [(trailer.name, trailer.person_name) for trailer in mail.trailers] == [("Acked-by", "Ann")]
    assert mail.charset == "iso-8859-1"


def test_the_quote_signs_do_not_count_for_the_key() -> None:
    answer = "Fine.<blockquote>one</blockquote>two"
    same = answer.replace("<blockquote>", "<div>").replace("</blockquote>", "</div>")
    keys = {parse(_single(source.encode(), "text/html")).content_key for source in (answer, same)}
    assert len(keys) == 1


def test_a_diff_in_an_answer_of_html_only_is_whole() -> None:
    head = HEAD.replace(b"[PATCH] x", b"Re: [PATCH] x")
    said = "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n-b\n+c\n\n d\n"
    mail = parse(_single(f"<p>So:</p><pre>{said}</pre>".encode(), "text/html", head=head))
    assert mail.diff == said.replace(" d", "d")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a<b>b</b>c<i\n>d", "abcd"),
        ("a\nb<br>c\n<pre>d\n e</pre>f\ng", "a b\nc\nd\ne\nf g"),
        ("a<p <b>c", "a\nc"),  # one tag
        ("a<!-- <p> --><!-->b-->c<!-- d", "ac"),
        ("a<script>b</style>c<p </script>d</script e>f<style>g", "af"),
        ("a<header>b<pr>c<h7>d<h1>e<P1>f", "abcd\nef"),
        ("a</script>b<br", "ab"),
        ("a  \u00a0b<p><p><p>&lt;&amp;", "a b\n\n<&"),
        ("a<blockquote>b<br><blockquote class=x>c</blockquote>d</blockquote>e", "a\n> b\n>\n>> c\n> d\ne"),
        ("</blockquote>a<blockquote>b<blockquote", "a\n> b"),
        ("a\2b<blockquote>c", "a\2b\nc"),  # else the sign would tell of a quote
        (
            "a<blockquote style='margin:0 0 0 40px;border:none'>b<blockquote>c</blockquote></blockquote>d",
            "a\nb\n> c\nd",
        ),
        ("<blockquote>" * 99 + "a", ">" * 8 + " a"),
        ("<blockquotes>a</blockquotes>", "a"),
    ],
)
def test_text_of_html(source: str, expected: str) -> None:
    assert markup.text(source) == f"{expected}\n"


def test_html_whose_only_plain_part_is_the_lists_footer() -> None:
    mail = parse(
        _multi(
            "mixed",
            ("Content-Type: text/html", "<p>Hello</p>"),
            ("Content-Type: text/plain", "_" * 47 + "\ndemo mailing list\nhttps://lists.example.org/listinfo/demo\n"),
        )
    )
    assert mail.content == "Hello"


@pytest.mark.parametrize(
    "kind",
    ["text/x-patch", "text/x-diff", 'application/octet-stream; name="0001-x.patch"', 'text/plain; name="a.diff"'],
)
def test_a_patch_may_be_attached(kind: str) -> None:
    mail = parse(_multi("mixed", ("Content-Type: text/plain", "Please apply."), (f"Content-Type: {kind}", diff("f"))))
    assert mail.kind is Kind.PATCH
    assert mail.diff == diff("f")
    assert mail.content == "Please apply."


def test_the_message_may_stand_in_a_part_above_the_diffs() -> None:
    attached = (
        'Content-Type: text/plain; name="x.patch"\nContent-Disposition: inline; filename="x.patch"',
        diff("f"),
    )
    mail = parse(_multi("mixed", ("Content-Type: text/plain", "Why.\n\nAcked-by: Bob <bob@x.org>"), attached))
    assert (mail.kind, mail.diff, mail.content) == (Kind.PATCH, diff("f"), "Why.\n\nAcked-by: Bob <bob@x.org>")
    assert mail.parts.message == mail.content
    assert [trailer.person_email for trailer in mail.trailers] == ["bob@x.org"]


HTML = ("Content-Type: text/html", "<p>Message.</p>")
PLAIN = ("Content-Type: text/plain", BODY)
FOOTER = ("Content-Type: text/plain", "_" * 47 + "\ndemo mailing list\nhttps://lists.example.org/listinfo/demo")
SIGNATURE = ("Content-Type: application/pgp-signature", "-----BEGIN PGP SIGNATURE-----")
INNER = ('Content-Type: multipart/alternative; boundary="=c"', f"--=c\n\n{BODY}\n--=c\n{HTML[0]}\n\n{HTML[1]}\n--=c--")


@pytest.mark.parametrize(
    "raw",
    [
        _multi("alternative", PLAIN, HTML),
        _multi("alternative", HTML, PLAIN),
        _multi("signed", PLAIN, SIGNATURE),
        _multi("related", PLAIN, ("Content-Type: image/png", "x")),
        _multi("related", INNER, ("Content-Type: image/png", "x")),
        _multi("mixed", PLAIN, FOOTER),
        _multi("mixed", INNER, SIGNATURE, FOOTER),
        _single(base64.encodebytes(BODY.encode("utf-16")), "text/plain; charset=utf-16", "base64"),
        _single(BODY.encode(), "text/x-patch"),
    ],
)
def test_every_shape_gives_the_same_patch(raw: bytes) -> None:
    mail, plain = parse(raw), parse(_single(BODY.encode()))
    assert (mail.kind, mail.content, mail.diff, mail.patch_id) == (Kind.PATCH, plain.content, diff("f"), plain.patch_id)
    assert (mail.parts, mail.trailers, mail.defects) == (plain.parts, plain.trailers, ())


def test_nul_and_crlf_within_base64() -> None:
    mail = parse(_single(base64.encodebytes(b"a\0b\r\nc\r\n"), encoding="base64"))
    assert mail.content == "a\ufffdb\nc"
    assert "NUL in the text" in mail.defects


def test_an_attached_format_patch_file_is_taken_apart() -> None:
    attached = (
        "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Bob <bob@x.org>\n"
        "Date: Mon, 2 Nov 2026 09:00:00 +0000\nSubject: [PATCH] y\n\nWhy.\n\nSigned-off-by: Bob <bob@x.org>\n---\n"
        + diff("f")
    )
    mail = parse(_multi("mixed", ("Content-Type: text/plain", "See below."), ("Content-Type: text/x-patch", attached)))
    assert mail.diff == diff("f")
    assert mail.content == "See below."
    assert mail.parts.message == "Why.\n\nSigned-off-by: Bob <bob@x.org>"
    assert mail.author.email == "bob@x.org"


def test_several_attached_patches_are_one_diff() -> None:
    mail = parse(
        _multi(
            "mixed",
            ("Content-Type: text/plain", "Two."),
            ("Content-Type: text/x-patch", diff("a")),
            ("Content-Type: text/x-patch", diff("b")),
        )
    )
    assert [file.path for file in mail.files] == ["a", "b"]


def test_an_attached_patch_that_is_cut_off_takes_nothing_from_the_next() -> None:
    cut = diff("a").replace("@@ -1,2 +1,2 @@", "@@ -1,9 +1,9 @@")
    assert cut != diff("a")
    parts = [("Content-Type: text/x-patch", one) for one in (cut, diff("b"))]
    mail = parse(_multi("mixed", ("Content-Type: text/plain", "Two."), *parts))
    assert [file.path for file in mail.files] == ["a", "b"]
    assert mail.diff is not None
    assert mail.diff.startswith(cut)
    assert mail.diff.endswith(diff("b"))


def test_an_attached_patch_without_hunks_keeps_its_file() -> None:
    mode = "diff --git a/f b/f\nold mode 100644\nnew mode 100755\n"
    hunk = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
    parts = [("Content-Type: text/x-patch", one) for one in (mode, hunk)]
    mail = parse(_multi("mixed", ("Content-Type: text/plain", "Two."), *parts))
    assert [(file.path, file.change) for file in mail.files] == [("f", "mode"), ("x", "modify")]


def test_many_texts_of_one_length_are_all_read() -> None:
    texts = [f"{'some words here ' * 30}{number:04}" for number in range(1_000)]
    mail = parse(_multi("mixed", *(("Content-Type: text/plain", one) for one in texts)))
    assert mail.content is not None
    assert [line for line in mail.content.split("\n") if line] == texts


def test_what_a_file_is_stands_at_the_end_of_its_name() -> None:
    name = "".join(f"=?utf-8?q?=C3=BC{number}?= " for number in range(40)) + "=?utf-8?q?x.patch?="
    attached = f'Content-Type: application/octet-stream\nContent-Disposition: attachment; filename="{name}"'
    assert [file.path for file in parse(_multi("mixed", (attached, diff("f")))).files] == ["f"]


def test_an_attached_diff_without_a_tag_in_the_subject_is_no_patch() -> None:
    head = HEAD.replace(b"[PATCH] x", b"an idea")
    mail = parse(
        _multi("mixed", ("Content-Type: text/plain", "Hm."), ("Content-Type: text/x-patch", diff("f")), head=head)
    )
    assert (mail.kind, mail.diff is not None) == (Kind.OTHER, True)


def test_a_whole_mail_of_octets_that_is_text_is_read() -> None:
    mail = parse(_single(BODY.replace("\n", "\r\n").encode(), "application/octet-stream; x-default=true"))
    assert (mail.kind, mail.diff) == (Kind.PATCH, diff("f"))


@pytest.mark.parametrize(
    ("data", "declared", "expected", "used", "lossy"),
    [
        (b"abc", None, "abc", "utf-8", False),
        (b"abc", "us-ascii", "abc", "us-ascii", False),
        ("ü".encode(), "us-ascii", "ü", "utf-8", False),
        (b"\xfc", "us-ascii", "ü", "windows-1252", False),
        (b"\xfc", None, "ü", "windows-1252", False),
        ("ü".encode() + b" \xfc", "utf-8", "ü ü", "utf-8", True),
        (b"\xfc", "iso-8859-1", "ü", "iso-8859-1", False),
        ("ü".encode(), "y", "ü", "utf-8", False),
        ("ü".encode(), "X-UNKNOWN", "ü", "utf-8", False),
        (b"\x81", None, "\ufffd", "windows-1252", True),
        ("中文".encode("gb2312"), "gb2312", "中文", "gb2312", False),
        ("㐀".encode("gb18030"), "gb2312", "㐀", "gb18030", False),
        ("日本".encode("iso-2022-jp"), "ISO-2022-JP", "日本", "iso-2022-jp", False),
        (b"abc", "base64", "abc", "utf-8", False),
        (b"abc", "unicode_escape", "abc", "utf-8", False),
        ("ü".encode(), '"utf-8"', "ü", "utf-8", False),
    ],
)
def test_charsets(data: bytes, declared: str | None, expected: str, used: str, lossy: bool) -> None:
    assert charset.decode(data, declared) == (expected, used, lossy)


@pytest.mark.parametrize(
    ("declared", "data", "defects"),
    [
        ("windows-1252", b"\x84fine\x93", ()),
        ("windows-1252", b"fine", ()),
        ("windows-1250", b"\xbeluva", ()),
        ("windows-1252", b"\x81", ("text does not fit its charset",)),
        ("us-ascii", b"\xfc", ("text does not fit its charset",)),
    ],
)
def test_what_fits_its_charset_is_no_defect(declared: str, data: bytes, defects: tuple[str, ...]) -> None:
    assert parse(_single(data, f"text/plain; charset={declared}")).defects == defects


def test_uuencoded_lines_that_are_cut_off_give_what_they_have() -> None:
    lines = (b"#0V%T", b"#0V%T!!", b"M0V%T", b"M", b"!0P")  # whole, too long, cut off, no more than a length, one byte
    encoded = b"\n".join((b"begin 644 x", *lines, b"end"))
    assert mime.transfer_decode(encoded, "x-uuencode") == (b"CatCatCatC", [])


def test_a_latin_1_letter_loses_no_patch() -> None:
    body = BODY.replace("Message.", "Reviewed-by: C\udce9dric").encode("utf-8", "surrogateescape")
    mail = parse(_single(body, "text/plain; charset=utf-8"))
    assert mail.diff == diff("f")
    assert mail.content is not None
    assert mail.content.startswith("Reviewed-by: Cédric")
    assert mail.lossy
    assert "text does not fit its charset" in mail.defects


def test_a_byte_order_mark_is_no_text() -> None:
    mail = parse(
        _single(
            b"\xef\xbb\xbfFrom: Bob <bob@x.org>\n\nMessage.\n---\n" + diff("f").encode(), "text/plain; charset=utf-8"
        )
    )
    assert mail.content is not None
    assert mail.content.startswith("From: Bob")
    assert mail.author.email == "bob@x.org"


def test_rfc_2231_parameters() -> None:
    part = (
        "Content-Type: application/octet-stream;\n name*0*=utf-8'en'0001-%C3%BC;\n name*1=\".pat\";\n name*2=ch",
        diff("f"),
    )
    mail = parse(_multi("mixed", ("Content-Type: text/plain", "x"), part))
    assert mail.diff == diff("f")


def test_flowed_text_is_joined_for_trailers_but_stays_as_sent() -> None:
    head = HEAD.replace(b"[PATCH] x", b"Re: [PATCH] x")
    mail = parse(_single(b"Reviewed-by: Ann Author \n<ann@example.org>\n", "text/plain; format=flowed", head=head))
    assert mail.content == "Reviewed-by: Ann Author \n<ann@example.org>"
    assert [trailer.person_email for trailer in mail.trailers] == ["ann@example.org"]


def test_delsp_takes_the_blank_of_a_soft_break_away() -> None:
    assert text.unflow("a \nb\n", delsp=True) == "ab\n"
    assert text.unflow("a \nb\n-- \nc\n> q \n> r\n", delsp=False) == "a b\n-- \nc\n> q \n> r\n"


def test_a_flowed_text_without_a_diff_stays_as_sent() -> None:
    body = "This is a cover \nwhose lines are broken.\n\n  And stuffed.\n"
    head = HEAD.replace(b"[PATCH] x", b"[PATCH 0/2] x")
    assert parse(_single(body.encode(), "text/plain; format=flowed", head=head)).content == body.strip()


def test_a_stuffed_flowed_diff_is_made_whole() -> None:
    stuffed = "\n".join(" " + line if line.startswith((" ", "From ")) else line for line in BODY.split("\n"))
    mail = parse(_single(stuffed.encode(), "text/plain; format=flowed"))
    assert mail.diff == diff("f")


def test_a_stuffed_flowed_diff_that_has_lost_blanks_is_made_whole() -> None:
    """Thunderbird leaves nothing of a context line that was a blank; a long header of a hunk is broken."""
    diff = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1,4 +1,4 @@ static int\xa0\n a(b)\n one\n\n-two\n+three\n four\n"
    sent = diff.replace("\xa0\n a", " \na").replace("\n one", "\n  one").replace("\n four", "\n  four")
    for subject in (b"[PATCH] x", b"Re: [PATCH] x"):
        head = HEAD.replace(b"[PATCH] x", subject)
        mail = parse(_single(f"Why.\n---\n{sent}".encode(), "text/plain; format=flowed", head=head))
        assert mail.diff == diff.replace("\xa0\n a", " a"), subject
        assert [(file.added, file.removed) for file in mail.files] == [(1, 1)]


@pytest.mark.parametrize("below", ["", "\nThanks.\n", "\n-- \nAnn\n"])
@pytest.mark.parametrize("subject", [b"[PATCH] x", b"Re: [PATCH] x"])
def test_a_stuffed_flowed_diff_that_is_whole_is_not_joined(subject: bytes, below: str) -> None:
    """A context line of one blank ends with a blank, as if broken; an empty line below would make up for it."""
    diff = "--- a/f\n+++ b/f\n@@ -1,5 +1,5 @@\n a\n-b\n+c\n \n d\n e\n"
    body = f"Why.\n---\n{diff}".replace("\n ", "\n  ") + below
    head = HEAD.replace(b"[PATCH] x", subject)
    assert parse(_single(body.encode(), "text/plain; format=flowed", head=head)).diff == diff


def test_a_flowed_answer_with_the_lists_footer_is_made_whole() -> None:
    broken = diff("f").replace("@@\n", "@@ a_function_of_the_file( \nint)\n").replace("\n one", "\n  one")
    stuffed = f"> how?\n\nSo:\n\n{broken}"
    raw = _multi("mixed", ("Content-Type: text/plain; format=flowed", stuffed), FOOTER)
    mail = parse(raw.replace(b"Subject: ", b"Subject: Re: ", 1))
    assert mail.diff == diff("f").replace("@@\n", "@@ a_function_of_the_file( int)\n")


@pytest.mark.parametrize(
    ("sent", "joined"),
    [
        ("@@ -1,2 +1,3 @@\n  a\n+b\n  f(some, \nd);\n", "@@ -1,2 +1,3 @@\n a\n+b\n f(some, d);\n"),
        ("@@ -1 +1,4 @@\n  a\n+x = a \n+ b;\n+y\n+z\n", "@@ -1 +1,4 @@\n a\n+x = a + b;\n+y\n+z\n"),
        ("@@ -1,3 +1,4 @@\n  a\n+b\n  One. \n  Two.\n  d\n", "@@ -1,3 +1,4 @@\n a\n+b\n One.  Two.\n d\n"),
        ("@@ -1,2 +1,3 @@\n  a\n+by the \ndiff of it\n  d\n", "@@ -1,2 +1,3 @@\n a\n+by the diff of it\n d\n"),
    ],
)
@pytest.mark.parametrize("subject", [b"[PATCH] x", b"Re: [PATCH] x"])
def test_the_rest_of_a_broken_line_is_nothing_of_its_own(subject: bytes, sent: str, joined: str) -> None:
    """It may stand behind the hunk, or push out the hunk's last line, or look like a file's first one."""
    names, more = "--- a/f\n+++ b/f\n", "@@ -30 +31 @@\n-c\n+e\n"
    head = HEAD.replace(b"[PATCH] x", subject)
    mail = parse(_single(f"Why.\n---\n{names}{sent}{more}".encode(), "text/plain; format=flowed", head=head))
    assert mail.diff == names + joined + more


def test_joined_lines_swallow_no_hunk() -> None:
    """A context line of one blank, stuffed, ends with a blank: joined with what follows it would hide a header."""
    hunk = "@@ -{0},2 +{0},2 @@\n-a\n+b\n  \n"
    body = "--- a/f\n+++ b/f\n" + hunk.format(1) + hunk.format(9)
    mail = parse(_single(f"Why.\n---\n{body}".encode(), "text/plain; format=flowed"))
    assert [(file.added, file.removed) for file in mail.files] == [(2, 2)]


def test_joined_lines_swallow_no_file() -> None:
    rename = "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n"
    for above in ("So: \n", "So:\n\n" + diff("f").replace("\n ", "\n  ") + "and \n"):
        body = f"> how?\n\n{above}{rename}"
        head = HEAD.replace(b"[PATCH] x", b"Re: [PATCH] x")
        mail = parse(_single(body.encode(), "text/plain; format=flowed", head=head))
        assert [file.path for file in mail.files][-1] == "y"


def test_a_diff_that_only_says_it_is_flowed_stays_as_it_is() -> None:
    plain = BODY.replace(" one", " \tone")
    mail = parse(_single(plain.encode(), "text/plain; format=flowed"))
    assert mail.diff == diff("f").replace(" one", " \tone")


@pytest.mark.parametrize(
    ("first", "delsp"),
    [
        ("diff --git a/dir/file.c \nb/dir/file.c", "no"),
        ("diff --git a/dir/file.c  \nb/dir/file.c", "yes"),
        ("diff -r a1b2c3d4e5f6 -r 0123456789ab \ndir/file.c", "no"),
        ("diff -urN old/dir/file.c \nnew/dir/file.c", "no"),
    ],
)
def test_a_flowed_diff_whose_first_line_was_folded(first: str, delsp: str) -> None:
    body = f"Why.\n---\n\n{first}\n--- a/dir/file.c\n+++ b/dir/file.c\n@@ -1,3 +1,3 @@\n  a\n-b\n+c\n  d\n"
    read = parse(_single(body.encode(), f"text/plain; format=flowed; delsp={delsp}"))
    assert read.kind is Kind.PATCH
    assert read.diff is not None
    assert read.diff.startswith(first.replace("  \n", " \n").replace(" \n", " "))
    assert [file.path for file in read.files] == ["dir/file.c"]


def test_a_character_reference_that_no_character_has_stays() -> None:
    number = "1" * 5_000  # more digits than Python reads
    assert markup.text(f"<p>a&#{number};&#x{number};&#0065;&amp;b</p>") == f"a&#{number};&#x{number};A&b\n"


def test_so_many_different_names_of_characters_are_looked_up() -> None:
    unknown = "".join(f"&x{number:03d};" for number in range(110))
    assert markup.text(f"&lt;{unknown}&lt;&gt;") == f"<{unknown}<&gt;\n"
    assert markup.text("&nbsp;" * 1_000 + "a&lt;") == "a<\n"


def test_a_reply_with_patches_in_parts_of_their_own() -> None:
    head = HEAD.replace(b"Subject: ", b"In-Reply-To: <0@x>\nSubject: Re: ")
    for answer in ("Like this?", "> quoted\nLike this?"):
        read = parse(_multi("mixed", ("", f"{answer}\n"), ("", diff("f")), ("", diff("g")), head=head))
        assert [file.path for file in read.files] == ["f", "g"]
        assert read.kind is Kind.REPLY


def test_delimiters_that_begin_alike_are_told_apart() -> None:
    inner = "--b2\n\ntwo\n--b\n--b2 \n\nthree\n--b2--\n"
    raw = HEAD.decode() + (
        'Content-Type: multipart/mixed; boundary="b"\n\n--bb\n--b\t\n\none\n--b\n'
        f"Content-Type: multipart/mixed; boundary=b2\n\n{inner.replace('--b' + chr(10), '--b22' + chr(10))}"
        "--b\nFrom: a\n\nfour\n--b--\n"
    )
    headers, body, _ = header.read(raw.encode())
    parts, defects = mime.leaves(headers, body)
    assert [part.data for part in parts] == [b"one", b"two\n--b22", b"three", b"four"]
    assert [len(part.within) for part in parts] == [1, 2, 2, 1]
    assert defects == []


def test_so_many_lines_that_begin_like_delimiters_are_looked_at() -> None:
    few, many = (parse(_multi("mixed", ("", "--=bx\n" * count))) for count in (30, 5_000))
    assert few.defects == ()
    assert many.defects == ("too many lines like MIME delimiters",)
    assert many.content == "--=bx\n" * 5_000 + "\n--=b--\nepilogue"


@pytest.mark.parametrize("count", range(40, 80))
def test_the_last_of_them_may_stand_behind_the_end(count: int) -> None:
    inner = "Content-Type: multipart/mixed; boundary=c\n\n" + "--=bx\n" * count
    raw = _multi("mixed", ("", "Text."), (inner.rstrip("\n"), "")) + b"--c\n"
    assert (parse(raw).content or "").startswith("Text.")


def test_what_is_joined_to_a_diffs_line_opens_none() -> None:
    text = b"Text\n  more\n--- \n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n"
    assert parse(_single(text, "text/plain; format=flowed")).diff is None


def test_multiparts_may_have_the_same_boundary() -> None:
    within = "--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\n{}\n--c--\n"
    raw = f"Content-Type: multipart/mixed; boundary=b\n\n{within.format(1)}{within.format(2)}--b--\n"
    headers, body, _ = header.read(raw.encode())
    assert [part.data for part in mime.leaves(headers, body)[0]] == [b"1", b"2"]


def test_a_part_whose_header_says_nothing_of_it_is_text() -> None:
    for head, data, defects in (
        ("", b"x", []),
        ("From: a\nX-A: b\n c\n", b"x", []),
        ("Content-Language: en\n", b"x", []),
        ("From: \u00fc\n", b"x", ["8-bit header"]),
        ("no field\n", b"no field\n\nx", ["no header"]),
    ):
        raw = f"Content-Type: multipart/mixed; boundary=b\n\n--b\n{head}\nx\n--b--\n"
        headers, body, _ = header.read(raw.encode())
        (part,), wrong = mime.leaves(headers, body)
        assert (part.type, part.data, wrong) == ("text/plain", data, defects)


def test_so_many_parameters_are_read() -> None:
    value = "text/plain" + "; ;" * 500 + " name=b" + ";c" * mime.MAX_PARAMETERS + ";charset=e"
    headers, _, _ = header.read(f"Content-Type: {value}\n\n".encode())
    assert mime.content_type(headers) == ("text/plain", {"name": "b"})
