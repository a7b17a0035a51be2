"""The short way through an ordinary diff says what the long ways say, or leaves it to them."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestd.mail import diff, files, fingerprint, ordinary

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


def _long_way(found: diff.Diff) -> ordinary.Reading:
    patch_id = fingerprint.patch_id(found)
    assert patch_id is not None
    return ordinary.Reading(fingerprint.patchwork(found.text), patch_id, files.of(found))


@given(made())
@settings(deadline=None)
def test_an_ordinary_diff_is_read_the_short_way(text: str) -> None:
    found = diff.split(text).diff
    assert found is not None
    assert ordinary.read(found) == _long_way(found)


@given(made(), st.lists(st.tuples(st.integers(0, 60), st.sampled_from("ird"), st.sampled_from(TRICKY)), max_size=4))
@settings(max_examples=400, deadline=None)
def test_any_other_is_read_alike_or_left_alone(text: str, edits: list[tuple[int, str, str]]) -> None:
    lines = text.split("\n")
    for place, how, line in edits:
        at = place % len(lines)
        lines[at : at + (how != "i")] = [] if how == "d" and len(lines) > 1 else [line]
    found = diff.split("\n".join(lines)).diff
    if found is not None and (short := ordinary.read(found)) is not None:
        assert short == _long_way(found)


@pytest.mark.parametrize(
    "text",
    [
        HEADS["modify"].format(path="f") + "@@ -1,2 +1 @@\n a\n--- b/x\n",
        HEADS["modify"].format(path="f") + "@@ -1 +1,2 @@\n a\n+++ b/x\n",
        HEADS["modify"].format(path="f") + "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n",
        "diff --git a/f b/g\nsimilarity index 90%\nrename from f\nrename to g\n" + HEADS["modify"].format(path="f"),
    ],
)
def test_what_is_out_of_the_ordinary_is_left_alone(text: str) -> None:
    found = diff.split(text).diff
    assert found is None or ordinary.read(found) is None


def test_real_diffs_are_read_alike() -> None:
    short = 0
    for _, raw in random.Random(3).sample(list(corpus.aspeed(1500)), 600):
        split = diff.split(raw.decode("utf-8", "replace"))
        if split.diff is not None and (reading := ordinary.read(split.diff)) is not None:
            assert reading == _long_way(split.diff)
            short += 1
    assert short > 100
