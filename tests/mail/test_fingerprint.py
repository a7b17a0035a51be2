"""Patchwork's hash, and patch ids with git as the judge."""

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mails import diff as made
from mails import mail

from ingestd.mail import diff, files, fingerprint, signs
from ingestd.mail.parse import parse
from ingestd.mail.splitter import Layout

NO_LINES = Layout([], "", {})
SMALL = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n"


@pytest.mark.parametrize(
    "text",
    [
        SMALL,
        SMALL.replace("\n", "\r\n"),
        SMALL.replace("a/f", "x/f").replace("b/f", "y/f"),
        SMALL.replace("@@ -1 +1 @@", "@@ -77,1 +99,1 @@ int main(void)"),
        "diff --git a/f b/f\nindex 1..2 100644\n" + SMALL,
        SMALL.replace("a/f", "a/f\t2026-01-01"),
    ],
)
def test_patchworks_hash_of_one_change_is_one(text: str) -> None:
    assert fingerprint.patchwork(diff.Diff(text, None, NO_LINES)) == "55a796d31a5a90af598862300e5a616da8ac982f"


def test_patchworks_hash_of_nothing_that_counts() -> None:
    renamed = "diff --git a/f b/g\nsimilarity index 100%\nrename from f\nrename to g\n"
    assert fingerprint.patchwork(diff.Diff(renamed, None, NO_LINES)) == "da39a3ee5e6b4b0d3255bfef95601890afd80709"


def _git(*arguments: str, cwd: Path, data: bytes | None = None) -> bytes:
    environment = {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "PATH": "/usr/bin:/bin:/usr/local/bin",
    }
    environment |= {f"GIT_{who}_{what}": "a@x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return subprocess.run(
        ["git", *arguments], cwd=cwd, input=data, capture_output=True, check=True, env=environment
    ).stdout


def _patch_id(data: bytes, cwd: Path) -> str | None:
    found = _git("patch-id", "--stable", cwd=cwd, data=data).split()
    return found[0].decode() if found else None


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commits of every kind that a diff can have."""
    root = tmp_path_factory.mktemp("repository")
    _git("init", "-q", cwd=root)
    random.seed(7)

    def commit(message: str) -> None:
        _git("add", "-A", cwd=root)
        _git("commit", "-q", "-m", message, cwd=root)

    (root / "text").write_text("".join(f"line {number}\n" for number in range(60)))
    (root / "blank lines").write_text("a\n\nb\n\t\n c\n")
    (root / "picture").write_bytes(b"\0" + random.randbytes(300))
    (root / "script").write_text("#!/bin/sh\n")
    (root / "ünïcode").write_text("é\n")
    commit("first")
    (root / "text").write_text((root / "text").read_text().replace("line 7\n", "line seven\n").replace("line 50\n", ""))
    (root / "empty").write_text("")
    commit("modify and add an empty file")
    (root / "text").rename(root / "renamed")
    commit("rename only")
    (root / "renamed").write_text((root / "renamed").read_text() + "no newline at the end")
    (root / "script").chmod(0o755)
    commit("mode, no newline")
    (root / "picture").write_bytes(b"\0" + random.randbytes(200))
    (root / "blank lines").write_text("a\n\nB\n\t\n c\n\n")
    commit("binary between texts")
    (root / "picture").unlink()
    (root / "empty").unlink()
    (root / "renamed").rename(root / "again")
    (root / "again").write_text("first\n" + (root / "again").read_text())
    commit("delete, rename with change")
    (root / "link").symlink_to("again")
    (root / "-- dashes").write_text("-- a\n++ b\n@@ c\n diff --git\n")
    commit("symlink and odd content")
    (root / "-- dashes").write_text("- a\n++ b\n\\ x\ndiff --git\n")
    (root / "ünïcode").write_text("è\n")
    commit("lines that look like headers")
    return root


@pytest.mark.parametrize(
    "option", ["", "--binary", "--no-prefix", "--no-renames", "-M", "-C", "--full-index", "-U0", "-U20", "-D"]
)
def test_patch_id_is_gits_for_every_kind_of_change(repository: Path, option: str) -> None:
    revisions = _git("rev-list", "HEAD", cwd=repository).decode().split()
    for revision in revisions:
        arguments = ["format-patch", "--stdout", "-1", revision] + ([option] if option else [])
        mail = parse(_git(*arguments, cwd=repository))
        assert mail.diff is not None
        assert mail.patch_id == _patch_id(mail.diff.encode(), repository), (option, revision)
        if option != "--no-prefix":
            assert mail.patch_id == _patch_id(_git(*arguments, cwd=repository), repository), (option, revision)


@pytest.mark.parametrize("option", ["--binary", "--no-prefix", "--no-renames", "-U0"])
def test_files_are_those_of_numstat(repository: Path, option: str) -> None:
    for revision in _git("rev-list", "HEAD", cwd=repository).decode().split():
        mail = parse(_git("format-patch", "--stdout", "-1", option, revision, cwd=repository))
        arguments = ["show", "--format=", "--numstat", "-z", *([option] if option == "--no-renames" else []), revision]
        expected = []
        fields = _git(*arguments, cwd=repository).decode().split("\0")[:-1]
        while fields:
            added, removed, path = fields.pop(0).split("\t")
            if not path:  # a rename: old and new path follow
                fields.pop(0)
                path = fields.pop(0)
            expected.append((path, added, removed))
        ours = [
            (file.path, "-" if file.binary else str(file.added), "-" if file.binary else str(file.removed))
            for file in mail.files
        ]
        assert sorted(ours) == sorted(expected), (option, revision)


def test_patch_id_of_a_hunk_at_a_line_of_many_digits(tmp_path: Path) -> None:
    text = f"diff --git a/f b/f\n{SMALL}@@ -{'9' * 23},3 +7,2 @@\n a\n-b\n c\n"
    found = diff.split(text).diff
    assert found is not None
    assert fingerprint.patch_id(found) == _patch_id(text.encode(), tmp_path)


DIFF_LINES = st.sampled_from(
    [
        "diff --git a/f b/f", "diff --git a/g b/g", "index 1234567..89abcde 100644", "index 1..2", "--- a/f",
        "+++ b/f", "--- a/g", "+++ b/g", "@@ -1 +1 @@", "@@ -1,2 +1,2 @@", "@@ -0,0 +1,2 @@", "@@ -1 +1,3 @@ x",
        "@@ -1,a", "@@ -", "@@ - +5 @@",
        "-a", "+b", " c", "-", "+", " ", "", "\\ No newline at end of file",
        "index 1..2\nBinary files a/f and b/f differ", "index 1..2 100644\nGIT binary patch", "literal 1",
        "rename from f", "text", "From 0123456789012345678901234567890123456789 Mon", "-- ", "2.39.5",
        "old mode 100644",
    ]
)  # fmt: skip


@given(st.lists(DIFF_LINES, max_size=30))
@settings(max_examples=150, deadline=None)
def test_patch_id_of_any_text_is_gits(lines: list[str]) -> None:
    text = "".join(line + "\n" for line in ["diff --git a/f b/f", *lines])
    here = Path(__file__).parent
    expected = _patch_id(text.encode(), here)
    read = text.removesuffix("\n").split("\n")
    assert fingerprint.patch_id(diff.Diff(text, None, Layout(read, signs.marks_of(read), {}))) == expected
    split = diff.split(text).diff
    if split is not None:
        assert fingerprint.patch_id(split) == _patch_id(split.text.encode(), here)


def _files(text: str) -> list[tuple[str, str | None, str, int, int]]:
    found = diff.split(text).diff
    assert found is not None
    return [(file.path, file.old_path, str(file.change), file.added, file.removed) for file in files.of(found)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SMALL, [("f", None, "modify", 1, 1)]),
        ("--- x.orig/d/f\n+++ x/d/f\n@@ -1 +1 @@\n-a\n+b\n", [("d/f", None, "modify", 1, 1)]),
        ("--- f.orig\t2026-01-01\n+++ f\t2026-01-02\n@@ -1 +1 @@\n-a\n+b\n", [("f", None, "modify", 1, 1)]),
        ("--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+b\n", [("f", None, "add", 1, 0)]),
        ("--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n", [("f", None, "delete", 0, 1)]),
        ("diff --git f f\nindex 1..2\n--- f\n+++ f\n@@ -1 +1 @@\n-a\n+b\n", [("f", None, "modify", 1, 1)]),
        ("diff --git a/x y b/x y\nold mode 1\nnew mode 2\n", [("x y", None, "mode", 0, 0)]),
        ('diff --git "a/\\303\\274" "b/\\303\\274"\nold mode 1\nnew mode 2\n', [("ü", None, "mode", 0, 0)]),
        ('diff --git "a/\\"\\q\\t\\10" "b/\\"\\q\\t\\10"\nold mode 1\nnew mode 2\n', [('"q\t10', None, "mode", 0, 0)]),
        ('--- "a/f\\"\n+++ "b/f\\\\"\t2026\n@@ -1 +1 @@\n-a\n+b\n', [("f\\", None, "modify", 1, 1)]),
        ("diff --git a/f b/g\nsimilarity index 9%\nrename from f\nrename to g\n", [("g", "f", "rename", 0, 0)]),
        ("diff --git a/f b/g\nsimilarity index 9%\ncopy from f\ncopy to g\n", [("g", "f", "copy", 0, 0)]),
        ("diff --git a/f b/f\nnew file mode 1\nindex 0..1\n", [("f", None, "add", 0, 0)]),
        (
            "diff --git a/f b/f index 1..2 100644\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n",
            [("f", None, "modify", 1, 1)],
        ),
        ("Index: x/d/f\n===\n--- x.orig/d/f\n+++ x/d/f\n@@ -1 +1 @@\n-a\n+b\n", [("x/d/f", None, "modify", 1, 1)]),
        ("Index: d/f\n=====\n--- d/f\t(r1)\n+++ d/f\t(r2)\n@@ -1 +1 @@\n-a\n+b\n", [("d/f", None, "modify", 1, 1)]),
        ("--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n", [("f", None, "modify", 1, 1)]),
    ],
)
def test_files_of_a_diff(text: str, expected: list[tuple[str, str | None, str, int, int]]) -> None:
    assert _files(text) == expected


def test_so_many_lines_of_a_header_are_read() -> None:
    index = "index 1..2\n" * (files.MAX_EXTENDED - 2)
    renamed = "rename from f\nrename to g\n"
    assert _files(f"diff --git a/f b/g\n{index}{renamed}") == [("g", "f", "rename", 0, 0)]
    assert _files(f"diff --git a/f b/g\n{index}index 1..2\nindex 1..2\n{renamed}") == [("g", "f", "modify", 0, 0)]


def test_so_many_files_are_told() -> None:
    few, many = (parse(mail("1@x", "[PATCH] x", made() * (files.MAX_FILES + more))) for more in (0, 1))
    assert len(few.files) == len(many.files) == files.MAX_FILES
    assert (few.defects, many.defects) == ((), ("more than 5000 files",))


def test_as_many_files_are_told_as_a_diff_has_room_for() -> None:
    files = "--- a/dir/file\n+++ b/dir/file\n@@ -1 +1 @@\n-a\n+b\n" * 1_000
    read = parse(mail("1@x", "[PATCH] x", files))
    most = 50 + len(files) // 96
    assert len(read.files) == most < 1_000
    assert read.defects == (f"more than {most} files",)
    assert read.diff == files


def test_blob_ids_and_binary() -> None:
    found = diff.split("diff --git a/i b/i\nindex 0123456..789abcd 100644\nBinary files a/i and b/i differ\n").diff
    assert found is not None
    file = files.of(found)[0]
    assert (file.binary, file.old_blob, file.new_blob) == (True, "0123456", "789abcd")
