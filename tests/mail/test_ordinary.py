"""What is read of an ordinary diff at once is what is read of it line by line."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestd.mail import diff, files, fingerprint, splitter
from ingestd.mail.splitter import Trust

from . import corpus

TRICKY = [
    "diff --git a/f b/f", "index 1234567..89abcde", "--- a/f", "+++ b/f", "--- /dev/null", "+++ /dev/null",
    "@@ -1 +1 @@",
    "@@ -0,0 +1,2 @@", "@@ -1,02 +1,2 @@ x", "--- b/--- ", "+++ ", "-- ", "\\ No newline at end of file", "", " ", "+ ",
    "new file mode 100644", "deleted file mode 100644", "old mode 100644", "rename from f", "similarity index 90%",
    "GIT binary patch", "Binary files a/f and b/f differ", "From 0123456789012345678901234567890123456789 Mon", "\x0b",
    "commit 0123456789012345678901234567890123456789", "-\u2028", "+\x85", " \u00a0",
]  # fmt: skip
HEADS = {
    "modify": "diff --git a/{path} b/{path}\nindex 1234567..89abcde 100644\n--- a/{path}\n+++ b/{path}\n",
    "add": "diff --git a/{path} b/{path}\nnew file mode 100644\nindex 0000000..89abcde\n--- /dev/null\n+++ b/{path}\n",
    "delete": (
        "diff --git a/{path} b/{path}\ndeleted file mode 100644\nindex 1234567..0000000\n--- a/{path}\n+++ /dev/null\n"
    ),
}


@st.composite
def made(draw: st.DrawFn) -> str:
    """A diff as git writes it: one to three files with one to three hunks each."""
    text = ""
    for number in range(draw(st.integers(1, 3))):
        change = draw(st.sampled_from(sorted(HEADS)))
        text += HEADS[change].format(path=f"dir/file{number}")
        marks = {"modify": " +-", "add": "+", "delete": "-"}[change]
        for _ in range(draw(st.integers(1, 3)) if change == "modify" else 1):
            lines = draw(st.lists(st.sampled_from(marks), min_size=1, max_size=6))
            old, new = (sum(line in counted for line in lines) for counted in (" -", " +"))
            text += f"@@ -{min(old, 7)},{old} +{min(new, 7)},{new} @@ int main(void)\n"
            text += "".join(f"{mark}line {draw(st.integers(0, 9))}\n" for mark in lines)
    return text


def _read_alike(text: str) -> str:
    """How much of a text's diff is read at once: all, some, none. Line by line the same must come out, by any trust.

    But for how much is read of a text of too many pieces: what was read at once is not counted so closely.
    """
    start = diff.first_mark(text)
    for trust in Trust if start >= 0 else ():
        short, long = diff.split(text, trust), diff.by_line(text, start, trust)
        assert short._replace(diff=None) == long._replace(diff=None)
        if short.diff is None or long.diff is None:
            assert short.diff is long.diff
            continue
        one, other = short.diff, long.diff
        assert other.ordinary is None
        assert (one.text, one.frayed, one.layout()) == (other.text, other.frayed, other.layout())
        assert (one.has_hunks, one.plain, one.whole) == (other.has_hunks, other.plain, other.whole)
        assert fingerprint.patchwork(one) == fingerprint.patchwork(other)
        assert fingerprint.patch_id(one) == fingerprint.patch_id(other)
        assert files.of(one) == files.of(other)
    found = diff.split(text).diff
    if found is None or found.ordinary is None:
        return "none"
    return "some" if found.rest.lines else "all"


@pytest.fixture(autouse=True)
def _room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitter, "_room", lambda size: 1_000 + size)


@given(made(), st.sampled_from(["", "-- \n2.39.5\n\n", "-- \n", "\n", "\n" + "_" * 20 + "\nlist"]))
@settings(deadline=None)
def test_an_ordinary_diff_is_read_at_once(text: str, below: str) -> None:
    assert _read_alike("Why.\n---\n f | 2 +-\n\n" + text + below) == "all"
    assert _read_alike(text.removesuffix("\n")) == "all"


@given(made(), st.lists(st.tuples(st.integers(0, 60), st.sampled_from("ird"), st.sampled_from(TRICKY)), max_size=4))
@settings(max_examples=400, deadline=None)
def test_any_other_is_read_alike(text: str, edits: list[tuple[int, str, str]]) -> None:
    lines = text.split("\n")
    for place, how, line in edits:
        at = place % len(lines)
        lines[at : at + (how != "i")] = [] if how == "d" and len(lines) > 1 else [line]
    _read_alike("\n".join(lines))


HUNK = "@@ -1 +1 @@\n-a\n+a\n"
FILE = HEADS["modify"].format(path="f")


@pytest.mark.parametrize(
    "text",
    [
        "@@ -1,2 +1 @@\n a\n--- b/x\n",
        "@@ -1 +1,2 @@\n a\n+++ b/x\n",
        "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n",
        "@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n",
        "@@ -1 +1 @@\n-a\n+a\r\n",
        "@@ -0,0 +0,0 @@\n-- \n",
        "@@ -1,3 +1,3 @@\n a\n\n b\n",
        "@@ -1,9 +1,9 @@\n a\n b\n",
        "@@ -1 +1 @@\n-a\n+b\n+c\n",
        "",
    ],
)
def test_what_is_out_of_the_ordinary_is_read_line_by_line(text: str) -> None:
    assert _read_alike(FILE + text) == "none"
    some = "some" if "\r" not in text else "none"
    assert _read_alike(FILE + HUNK + text) == (some if text else "all")
    assert _read_alike(FILE + HUNK + FILE + text) == some


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        ("The rest of that line.\n", "all"),  # no part of the diff, but it is noted
        ("\n--- and prose\n", "all"),
        ("-- \nsimilarity index 90%\nsimilarity index 90%\n", "some"),
        ("-- \n2.39.5\n\n" + FILE + HUNK, "some"),
        (" which may be the hunk's\n\n" + HUNK, "none"),
        ("diff --git a/f b/g\nsimilarity index 90%\nrename from f\nrename to g\n" + HUNK + FILE + HUNK, "some"),
        ("diff --git a/x b/x\nindex 000..1ab\nGIT binary patch\nliteral 1\nIcmZPo000310RR91\n\n", "some"),
        ("From 0123456789012345678901234567890123456789 Mon\n" + FILE + HUNK, "some"),
        ("\n\ndiff -u x y\n--- x\n+++ y\n" + HUNK, "some"),
    ],
)
def test_what_stands_below_is_read_alike(below: str, expected: str) -> None:
    assert _read_alike(FILE + HUNK + below) == expected
    assert _read_alike(FILE + HUNK + HEADS["add"].format(path="g") + "@@ -0,0 +1 @@\n+ \n" + below) != "none"


def test_hunks_of_more_lines_than_are_taken_at_once() -> None:
    for count in (999, 1_000, 1_001, 2_000, 2_001):
        lines = "".join(f"+{line}\n" for line in range(count))
        head = HEADS["add"].format(path="f") + f"@@ -0,0 +1,{count} @@\n"
        assert _read_alike(head + lines + "-- \n2.39.5\n") == "all"
        assert _read_alike(head + lines + FILE + HUNK) == "all"
        assert _read_alike(head + lines + "+one more\n" + FILE + HUNK) == "none"


def test_a_removed_line_of_a_dash_and_a_blank_is_no_signature() -> None:
    for lines in ("@@ -1,2 +1 @@\n-- \n a\n", "@@ -2,2 +1 @@\n a\n-- \n"):
        assert _read_alike(f"{FILE}{lines}-- \n2.39.5\n") == "all"
        assert _read_alike(f"{FILE}{lines}") == "all"


def test_real_diffs_are_read_alike() -> None:
    sample = random.Random(3).sample(list(corpus.aspeed(1500)), 600)
    found = [_read_alike(raw.decode("utf-8", "replace")) for _, raw in sample]
    assert found.count("all") > 100
