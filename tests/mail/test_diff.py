"""Message and diff apart: Patchwork's rules, and where they are mended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mails import diff as made
from mails import mail

from ingestd.mail import diff
from ingestd.mail.parse import parse

MESSAGE = "Why.\n\nSigned-off-by: Ann <ann@example.org>\n---\n f | 2 +-\n\n"
HUNK = "@@ -1 +1 @@\n-a\n+b\n"
SIGNATURE = "-- \n2.39.5\n\n"


def _split(text: str) -> tuple[str, str | None, str]:
    split = diff.split(text)
    return split.message, split.diff.text if split.diff else None, split.tail


def test_an_ordinary_patch() -> None:
    assert _split(MESSAGE + made("f") + SIGNATURE) == (MESSAGE, made("f"), SIGNATURE + "\n")


def test_diffs_are_joined_as_if_they_had_been_read_as_one() -> None:
    renamed = "diff --git a/f b/g\nsimilarity index 100%\nrename from f\nrename to g\n"
    binary = "diff --git a/x b/x\nindex 000..1ab\nGIT binary patch\nliteral 1\nIcmZPo000310RR91\n\n"
    texts = [made("a") + renamed, binary, made("b"), binary + made("c")]
    found = [split.diff for text in texts if (split := diff.split(text)).diff]
    joined, as_one = diff.joined(found), diff.split("".join(one.text for one in found)).diff
    assert as_one is not None
    assert (joined.text, joined.layout(), joined.frayed) == (as_one.text, as_one.layout(), as_one.frayed)


def test_text_without_a_diff_stays_whole() -> None:
    text = "--- a heading\nIndex: 3\ndiff is a word\n*** stars\n"
    assert _split(text) == (text, None, "")


@pytest.mark.parametrize(
    "text",
    [
        made("a") + made("b"),
        "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n",
        "--- a/f\t2026-01-01 00:00:00\n+++ b/f\t2026-01-01 00:00:00\n@@ -1,2 +1,1 @@ int main(void)\n a\n-b\n",
        "Index: f\n=====================================\n--- f\t(revision 1)\n+++ f\t(working copy)\n" + HUNK,
        "Index: f\nRCS file: /f,v\nretrieving revision 1.1\ndiff -u -r1.1 f\n--- f\t1 Jan\n+++ f\t2 Jan\n" + HUNK,
        "diff -r 0123456789ab f\n--- a/f\tThu Jan 01 00:00:00 1970\n+++ b/f\tThu Jan 01 00:00:00 1970\n" + HUNK,
        "diff --git a/f b/g\nsimilarity index 100%\nrename from f\nrename to g\n",
        "diff --git a/f b/g\nsimilarity index 90%\ncopy from f\ncopy to g\nindex 1..2\n--- a/f\n+++ b/g\n" + HUNK,
        "diff --git a/f b/f\nold mode 100644\nnew mode 100755\n",
        "diff --git a/f b/f\nnew file mode 100644\nindex 0000000..e69de29\n",
        "diff --git a/f b/f\ndeleted file mode 100644\nindex e69de29..0000000\n",
        "diff --git a/s b/s\nindex 1..2 160000\n--- a/s\n+++ b/s\n@@ -1 +1 @@\n-Subproject 1\n+Subproject 2\n",
        "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n",
        "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n--- removed line that looks like a file\n+++ added one\n c\n",
    ],
)
def test_every_kind_of_diff_is_found(text: str) -> None:
    assert _split(MESSAGE + text + SIGNATURE) == (MESSAGE, text, SIGNATURE + "\n")


@pytest.mark.parametrize(
    ("header", "lines", "taken"),
    [
        ("-1 +1", "+a\n+b\n+c\n-d\n+e\n", 4),  # the new side is full long before the old one
        ("-1 +1", "-a\n-b\n-c\n+d\n-e\n", 4),
        ("-1,2 +1", "-a\n-b\n+c\n+d\n", 3),
        ("-0,0 +0,0", "+a\n+b\n", 1),
        ("-1,2 +1,2", "-a\n\n+b\n c\n", 3),
    ],
)
def test_a_hunk_ends_with_the_line_that_fills_both_sides(header: str, lines: str, taken: int) -> None:
    found = diff.split(f"--- a/f\n+++ b/f\n@@ {header} @@\n{lines}").diff
    assert found is not None
    assert found.layout().hunks[2].end == 3 + taken


def test_a_signature_ends_binary_data_and_context_diffs() -> None:
    for above in (
        "diff --git a/x b/x\nindex 000..1ab\nGIT binary patch\nliteral 1\nIcmZPo\n-a\n",
        "*** a/f\n--- b/f\n***************\n*** 1 ****\n- a\n--- 1 ----\n",
    ):
        assert _split(f"{above}-- \n2.39.5\n") == ("", above, "-- \n2.39.5\n\n")


def test_blank_context_lines_that_lost_their_blank_count() -> None:
    text = "--- a/f\n+++ b/f\n@@ -1,4 +1,4 @@\n a\n\n-b\n+c\n d\n"
    split = diff.split(MESSAGE + text + SIGNATURE)
    assert split.diff is not None
    assert split.diff.text == text
    assert split.diff.whole


def test_a_diff_that_is_cut_off_keeps_what_there_is() -> None:
    text = "--- a/f\n+++ b/f\n@@ -1,40 +1,40 @@\n a\n-b"
    split = diff.split(MESSAGE + text)
    assert split.diff is not None
    assert split.diff.text == text + "\n"
    assert not split.diff.whole


# What Patchwork misreads, and we do not.


@pytest.mark.parametrize("line", ["diff is alt prepended to the labels", "diff -u output was:", "Index: see the table"])
def test_prose_that_begins_like_a_diff_stays_in_the_message(line: str) -> None:
    message = f"Why. The only\n{line}\nas expected.\n\nSigned-off-by: Ann <ann@example.org>\n---\n\n"
    assert _split(message + made("f")) == (message, made("f"), "\n")


def test_the_header_of_the_file_behind_a_binary_one_belongs_to_the_diff() -> None:
    text = "diff --git a/i b/i\nindex 1..2 100644\nGIT binary patch\nliteral 3\nKcmZQzV1NJ\n\n" + made("f")
    assert _split(MESSAGE + text + SIGNATURE) == (MESSAGE, text, SIGNATURE + "\n")


def test_a_signature_ends_binary_data() -> None:
    text = "diff --git a/i b/i\nindex 1..2 100644\nGIT binary patch\nliteral 3\nKcmZQzV1NJ\n\n"
    assert _split(MESSAGE + text + SIGNATURE) == (MESSAGE, text, SIGNATURE + "\n")


def test_binary_files_that_differ_are_a_diff() -> None:
    text = "diff --git a/i b/i\nindex 1..2 100644\nBinary files a/i and b/i differ\n"
    assert _split(MESSAGE + text + SIGNATURE) == (MESSAGE, text, SIGNATURE + "\n")


def test_a_context_diff_is_a_diff() -> None:
    text = "*** a/f\t2026\n--- b/f\t2026\n***************\n*** 1,2 ****\n! a\n  b\n--- 1,2 ----\n! c\n  b\n"
    message, found, _ = _split(MESSAGE + text + SIGNATURE)
    assert (message, found) == (MESSAGE, text)


def test_rules_and_signatures_above_the_diff_end_nothing() -> None:
    body = "Heading\n_______\n\nText\n-- \nmore text\n\nSigned-off-by: Ann <a@x>\n---\n\n" + made("f") + SIGNATURE
    read = parse(mail("1@x", "[PATCH] x", body))
    assert read.content == "Heading\n_______\n\nText\n-- \nmore text\n\nSigned-off-by: Ann <a@x>\n---"
    assert read.parts.message.endswith("Signed-off-by: Ann <a@x>")


def test_a_signature_with_much_behind_it_ends_nothing() -> None:
    quoted = "".join(f"> line {number}\n" for number in range(30))
    read = parse(mail("1@x", "Re: x", "I agree.\n-- \nAnn\n\n" + quoted))
    assert read.content == ("I agree.\n-- \nAnn\n\n" + quoted).strip()


def test_a_signature_at_the_end_is_cut() -> None:
    assert parse(mail("1@x", "Re: x", "I agree.\n\n-- \nAnn\n")).content == "I agree."
    assert parse(mail("1@x", "Re: x", "I agree.\n_____________\nlist\nlink\n")).content == "I agree."
    assert parse(mail("1@x", "Re: x", "-- \nAnn\n")).content is None


def test_text_between_files_does_not_end_the_diff() -> None:
    read = parse(mail("1@x", "[PATCH] x", MESSAGE + made("a") + "\nAnd the other one:\n\n" + made("b") + SIGNATURE))
    assert [file.path for file in read.files] == ["a", "b"]


NO_END = "\\ No newline at end of file\n"


@pytest.mark.parametrize(
    "file",
    [
        "diff --git a/dir/file b/dir/file\nold mode 100644\nnew mode 100755\n",
        "diff --git a/dir/file b/dir/gile\nsimilarity index 100%\nrename from dir/file\nrename to dir/gile\n",
        "diff --git a/dir/file b/dir/file\nnew file mode 100644\nindex 0000000..e69de29\n",
        "diff --git a/dir/file b/dir/file\nindex 111..222 100644\nBinary files a/dir/file and b/dir/file differ\n",
        "--- a/dir/file\n+++ b/dir/file\n@@ -1 +1 @@\n-a\n+b\n",
        f"diff --git a/f b/f\nindex 1..2 120000\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-1\n{NO_END}+2\n{NO_END}",
        f"diff -ru a/f b/f\n--- a/f\t2026-01-01\n+++ b/f\t2026-01-01\n@@ -1 +1 @@\n-1\n{NO_END}+2\n{NO_END}",
        "--- f\n+++ f\n@@ -1,7 +1,7 @@\nint f(void)\n{\n\n-foo(a);\n+bar(a);\n\nreturn 0;\n}\n",
        "--- dir/file\n+++ dir/file\n@@ -9,5 +9,5 @@\n int f(void)\n {\n\n-\treturn 1;\n+\treturn 2;\n }\n",
    ],
)
def test_thousands_of_the_smallest_files_are_read(file: str) -> None:
    split = diff.split("--- PASS: TestOf (0.00s)\n" * 1_000 + file * 3_000)
    assert split.diff is not None
    assert split.diff.text == file * 3_000
    assert not split.unread


@pytest.mark.parametrize(
    "prose", ["--- ok 7\n", "*** 7.o\n", "diff t7\n", "=== RUN T7\n--- PASS: T7 (0.00s)\n", "--- \n"]
)
@pytest.mark.parametrize("file", [made("f"), made("f").partition("\n")[2].partition("\n")[2]])
def test_a_diff_is_found_below_any_prose(prose: str, file: str) -> None:
    split = diff.split(prose * 5_000 + "\n" + file)
    assert split.diff is not None
    assert split.diff.text == file
    assert split.message == prose * 5_000 + "\n"
    assert split.unread


def test_still_smaller_pieces_are_left_where_they_are() -> None:
    text = made("f") + "diff --git\n" * 10_000 + made("g")
    split = diff.split(text)
    assert split.diff is not None
    assert split.diff.text.startswith(made("f"))
    assert split.unread
    assert split.tail.endswith(made("g") + "\n")
    read = parse(mail("1@x", "[PATCH] x", text))
    assert [file.path for file in read.files] == ["f"]
    assert read.defects == ("too many small pieces for a diff",)


@pytest.mark.parametrize("command", ["diff --git a/f b/f", "diff -r a b"])
def test_binary_files_that_are_not_named(command: str) -> None:
    assert _split(f"Why.\n\n{command}\nBinary files differ\n")[1] == f"{command}\nBinary files differ\n"


def test_hundreds_of_the_smallest_hunks_are_read() -> None:
    file = "--- a/f\n+++ b/f\n" + "".join(f"@@ -{2 * line} +{line},0 @@\n-\n" for line in range(1, 1_001))
    split = diff.split(file)
    assert split.diff is not None
    assert split.diff.text == file
    assert not split.unread


def test_lines_of_words_that_headers_begin_with_cost_no_steps() -> None:
    table = "".join(f"old {row}.5 ms\nnew {row}.1 ms\n" for row in range(300))
    split = diff.split(f"{made('f')}\n{table}\n{made('g')}")
    assert split.diff is not None
    assert split.diff.text.endswith(made("g"))
    assert not split.unread


def test_a_quoted_diff_is_no_diff() -> None:
    quoted = "".join(f"> {line}\n" for line in made("f").split("\n"))
    read = parse(mail("1@x", "Re: [PATCH] x", "On Monday Ann wrote:\n" + quoted + "Looks good.\n"))
    assert (read.kind, read.diff, read.hash, read.patch_id, read.files) == ("reply", None, None, None, ())


def test_an_unquoted_diff_in_an_answer_is_told_and_the_text_stays_whole() -> None:
    body = "> how?\n\nLike this:\n\n" + made("f") + "\nthanks\n"
    read = parse(mail("1@x", "Re: [PATCH] x", body))
    assert read.kind == "reply"
    assert read.diff == made("f")
    assert read.content == body.strip()


@pytest.mark.parametrize(
    ("below", "kept"),
    [
        ("\n\nThanks,\n- Bob\n", ""),  # the hunk has lost its end
        ("\n c\nWhy this?\n+d\n", "\n c\n"),
        (" c\n\nThis\n+is\n", " c\n"),
        ("     a long line that a mail program has broken somewhere near to its\nmiddle\n+d\n", None),
        ("+\na_very_long_name_that_had_no_room_beside_its(indent)\n+d\n", None),
        ("\u00a0c\n\td\n+e\n", None),
        ('+\t\t\t\tdev_err(dev, "This long text has no more room on its line",\nvalue);\n+d\n', None),
        (" c\n\n-- \nBob\n", " c\n"),
    ],
)
def test_in_an_answer_prose_ends_a_hunk(below: str, kept: str | None) -> None:
    head = "--- a/f\n+++ b/f\n@@ -1,9 +1,9 @@ f\n a\n-b\n"
    read = parse(mail("1@x", "Re: [PATCH] x", f"> how?\n\nSo:\n\n{head}{below}"))
    assert read.diff == head + (below if kept is None else kept)
    patch = parse(mail("1@x", "[PATCH] x", f"Why.\n---\n{head}{below}"))
    assert (patch.diff or "").rstrip("\n") == (head + below).rstrip("\n")


@pytest.mark.parametrize(
    ("counts", "lines", "kept"),
    [
        ("-0,0 +1,9", "+a\nWhy?\n+b\n", "+a\n"),  # a new file has no context
        ("-0,0 +1,9", "[snip]\n+b\n", ""),
        ("-1,3 +1,3", "-b\n+c\n\nd\n", "-b\n+c\n\nd\n"),  # no context has its blank: the mail has lost them
    ],
)
def test_what_is_prose_where_no_context_has_its_blank(counts: str, lines: str, kept: str) -> None:
    head = f"--- a/f\n+++ b/f\n@@ {counts} @@\n"
    assert parse(mail("1@x", "Re: [PATCH] x", f"> how?\n\nSo:\n\n{head}{lines}")).diff == head + kept


def test_a_file_without_a_command_behind_a_hunk_cut_short_in_an_answer() -> None:
    files = "--- a/f\n+++ b/f\n@@ -1,9 +1,9 @@\n a\n-b\n+c\n\n--- a/g\n+++ b/g\n@@ -1 +1 @@\n-x\n+y\n"
    read = parse(mail("1@x", "Re: [PATCH] x", f"> how?\n\n{files}"))
    assert [(file.path, file.added, file.removed) for file in read.files] == [("f", 1, 1), ("g", 1, 1)]
    one_short = files.replace("-1,9 +1,9", "-1,3 +1,3").replace("+c\n\n", "+c\n")
    read = parse(mail("1@x", "Re: [PATCH] x", f"> how?\n\n{one_short}"))
    assert [(file.path, file.added, file.removed) for file in read.files] == [("f", 1, 1), ("g", 1, 1)]


def test_files_behind_prose_in_an_answer_are_found() -> None:
    cut = made("f", new="a long line behind which the next one is none that a program has broken").replace("2", "8")
    for between in ("", "\nWhy?\n\n"):
        read = parse(mail("1@x", "Re: [PATCH] x", f"> how?\n\n{cut}{between}{made('g')}\nSo?\n"))
        assert [file.path for file in read.files] == ["f", "g"]
        assert read.diff == cut + made("g")


@pytest.mark.parametrize(
    "mark",
    [
        *("-----Original Message-----", "----- Original message -----", "--ORIGINAL MESSAGE--:"),
        *(" ----- Original Message -----", "From: Ann <ann@example.org>\nSent: Monday"),
    ],
)
def test_what_outlook_quotes_is_not_the_senders_diff(mark: str) -> None:
    below = f"{mark}\nTo: Bob\n\nWhy.\n---\n{made('g')}"
    assert parse(mail("1@x", "RE: [PATCH] x", f"Fine.\n\n{below}")).diff is None
    assert parse(mail("1@x", "RE: [PATCH] x", below)).diff is None
    signed = f"{mark}\nTo: Bob\n\n> Why.\n\nRather:\n\n{made('g')}"  # then only what has a sign is a quote
    assert parse(mail("1@x", "RE: [PATCH] x", signed)).diff == made("g")
    read = parse(mail("1@x", "RE: [PATCH] x", f"Rather:\n\n{made('f')}\n{below}"))
    assert [file.path for file in read.files] == ["f"]
    assert (read.content or "").endswith("+three")


def test_a_line_of_an_answers_diff_is_not_outlooks() -> None:
    changed = "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n Original message\n"
    assert parse(mail("1@x", "RE: [PATCH] x", f"> how?\n\nOriginal message:\n\n{changed}")).diff == changed


LINES = st.sampled_from(
    [
        "", " ", " a", "+a", "-a", "--- a/f", "+++ b/f", "--- ", "@@ -1 +1 @@", "@@ -1,2 +1,3 @@", "@@ -0,0 +1 @@",
        "diff ", "diff --git a/f b/f", "Index: f", "=====", "index 1..2", "rename from f", "rename to g",
        "old mode 1", "new mode 2", "GIT binary patch", "Binary files a and b differ", "-- ", "text",
        "\\ No newline at end of file", "*** a", "***************",
    ]
)  # fmt: skip


@given(st.lists(LINES, max_size=40))
def test_no_line_is_lost_or_made_up(lines: list[str]) -> None:
    text = "\n".join(lines)
    split = diff.split(text)
    parts = split.message + (split.diff.text if split.diff else "") + split.tail
    assert sorted(parts.rstrip("\n").split("\n")) == sorted(text.rstrip("\n").split("\n")) or not text.strip("\n")
    if split.diff:
        assert "\n".join(split.diff.layout().lines) + "\n" == split.diff.text
        again = diff.split(split.diff.text)
        assert again.diff is not None
