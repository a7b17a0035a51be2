"""What a mail takes of memory while it is parsed, in octets for each of its own: the greatest is ingest.COST."""

import base64
import subprocess
import sys
from pathlib import Path

from ingestd.mail.parse import parse
from ingestd.reception import COST

LINES = 250_000
HEAD = "From: A <a@example.org>\nSubject: [PATCH] x\nMessage-ID: <a@b>\nContent-Type: text/plain; charset=utf-8\n"
DIFF = "text\n---\n\ndiff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n@@ -1,1 +1,250000 @@\n one\n"


def body(kind: str) -> str:
    """The rest of the mail, after the fixed headers."""
    lines = ("x" * 70 + "\n") * LINES
    if kind == "base64":
        return "Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(lines.encode()).decode()
    bodies = {
        "text": lines,
        "short lines": "a\n" * (LINES * 35),
        "emoji": "\U0001f600\n" + lines,
        "diff": DIFF + ("+" + "x" * 70 + "\n") * LINES,
        "accents in a diff": DIFF + ("+" + "\u00e9x" * 35 + "\n") * LINES,
        "emoji in a diff": "\U0001f600\n" + DIFF + ("+" + "x" * 70 + "\n") * LINES,
    }
    return "\n" + bodies[kind]


KINDS = ("text", "short lines", "emoji", "base64", "diff", "accents in a diff", "emoji in a diff")


def peak() -> int:
    """Octets that this process has had resident at most, since the last reset."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def measure(kind: str) -> float:
    """The ratio for one kind of mail."""
    raw = (HEAD + body(kind)).replace("\n", "\r\n").encode()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = peak()
    parse(raw)
    return (peak() - before) / len(raw)


if __name__ == "__main__":
    if sys.argv[1:]:
        print(f"{measure(sys.argv[1]):.1f}")
        sys.exit()
    for one in KINDS:  # each in a process of its own: memory that was used once is used again
        ratio = subprocess.run(
            [sys.executable, __file__, one], capture_output=True, text=True, check=True
        ).stdout.strip()
        print(f"{one}: {ratio}")
    print(f"ingest.COST: {COST}")
