"""Two fingerprints of a diff: Patchwork's hash and `git patch-id --stable`, both without another process."""

import hashlib
import re

_FILE = re.compile(r"(---|\+\+\+) (\S+)")
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")

_SPACES = b" \t\n\r"  # git's own isspace
_OID = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.IGNORECASE)
_MAX_OID = 64


def patchwork(diff: str) -> str:
    """Patchwork's `hash` (reference: mail rules, section 7): SHA-1 over paths, hunk sizes and hunk lines, 40 hex digits."""
    digest = hashlib.sha1(usedforsecurity=False)
    fed = []
    for line in diff.replace("\r", "").strip().split("\n"):
        mark = line[:1]
        if mark in "-+":
            found = _FILE.match(line)
            if found:
                side = "a" if found.group(1) == "---" else "b"
                fed.append(f"{found.group(1)} {side}/{found.group(2).partition('/')[2]}\n")
            elif line:
                fed.append(line + "\n")
        elif mark == "@":
            found = _HUNK.match(line)
            if found:
                fed.append(f"@@ -{found.group(1) or 1} +{found.group(2) or 1} @@\n")
        elif mark == " ":
            fed.append(line + "\n")
    digest.update("".join(fed).encode("utf-8", "replace"))
    return digest.hexdigest()


def patch_id(diff: str) -> str | None:
    """What `git patch-id --stable` (git 2.39 and later) prints first for this text; None where it prints nothing.

    40 hex digits: the sum of one SHA-1 for each file, over its lines without white space.
    """
    reader = _PatchId(diff.encode("utf-8", "replace"))
    while reader.at < len(reader.lines):
        found = reader.one()
        if found is not None:
            return found
    return None


class _PatchId:
    """git's reading of a patch, line by line (builtin/patch-id.c, described in git-patch-id(1))."""

    def __init__(self, data: bytes) -> None:
        self.lines = data.splitlines(keepends=True) if b"\r" not in data else _lines(data)
        self.at = 0
        self.pre = self.post = b""

    def one(self) -> str | None:
        """The id of the next patch; None where there was none."""
        total = 0
        length = 0
        before = after = -1
        binary = False
        pending: list[bytes] = []
        lines = self.lines
        at = self.at
        while at < len(lines):
            line = lines[at]
            at += 1
            if line.startswith(b"\\ ") and len(line) > 12:
                continue
            if _commit(line):
                break
            if not length and not line.startswith(b"diff "):
                continue
            if before == -1:
                if line.startswith((b"GIT binary patch", b"Binary files")):
                    binary = True
                    before = 0
                    total = _add(total, b"".join((*pending, self.pre, self.post)))
                    pending = []
                    continue
                if line.startswith(b"index "):
                    self._index(line)
                    continue
                if line.startswith(b"--- "):
                    before = after = 1
                elif not line[:1].isalpha():
                    break
            if binary:
                if line.startswith(b"diff "):
                    binary = False
                    before = -1
                continue
            if before == 0 and after == 0:
                if line.startswith(b"@@ -"):
                    before, after = _counts(line)
                    continue
                if not line.startswith(b"diff "):
                    break
                total = _add(total, b"".join(pending))
                pending = []
                before = after = -1
            mark = line[:1]
            if mark == b"-":
                before -= 1
            elif mark == b"+":
                after -= 1
            elif mark == b" ":
                before -= 1
                after -= 1
            plain = line.translate(None, _SPACES)
            length += len(plain)
            pending.append(plain)
        self.at = at
        if not length:
            return None
        total = _add(total, b"".join(pending))
        return total.to_bytes(20, "little").hex()

    def _index(self, line: bytes) -> None:
        """Blob ids as git cuts them out of an index line, for binary files."""
        dots = line.find(b"..")
        if dots < 0:
            return
        end = line.find(b" ", dots)
        if end < 0:
            end = len(line) - 1
        self.pre = line[6:dots][:_MAX_OID]
        self.post = line[dots + 2 : end][:_MAX_OID]


def _lines(data: bytes) -> list[bytes]:
    """Lines by LF alone."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _commit(line: bytes) -> bool:
    """Does this line name the commit of the next patch?"""
    for prefix in (b"commit ", b"From "):
        if line.startswith(prefix):
            return bool(_OID.match(line, len(prefix)))
    return len(line) >= 40 and bool(_OID.match(line))


def _counts(line: bytes) -> tuple[int, int]:
    """Line counts of a hunk header, as git's lenient scan reads them."""
    old, rest = _count(line[4:])
    plus = rest.find(b"+")
    if not rest.startswith(b" +") or plus < 0:
        return old, 1
    return old, _count(rest[2:])[0]


def _count(text: bytes) -> tuple[int, bytes]:
    end = 0
    while end < len(text) and text[end : end + 1].isdigit():
        end += 1
    if text[end : end + 1] != b",":
        return 1, text[end:]
    start = end = end + 1
    while end < len(text) and text[end : end + 1].isdigit():
        end += 1
    return int(text[start:end] or 0), text[end:]


def _add(total: int, data: bytes) -> int:
    """Byte-wise sum with carry, the last carry dropped: order of files does not matter."""
    digest = hashlib.sha1(data, usedforsecurity=False).digest()
    return (total + int.from_bytes(digest, "little")) % (1 << 160)
