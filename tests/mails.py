"""Mails of our own: plain text, git's shape, as little as a test needs."""

from collections.abc import Sequence

DIFF = """\
diff --git a/{file} b/{file}
index 1111111..2222222 100644
--- a/{file}
+++ b/{file}
@@ -1,2 +1,2 @@
 one
-{old}
+{new}
"""


def diff(file: str = "file.c", old: str = "two", new: str = "three") -> str:
    """A diff of one hunk."""
    return DIFF.format(file=file, old=old, new=new)


def mail(
    message_id: str | None,
    subject: str,
    body: str = "Text.\n",
    *,
    author: str = "Ann Author <ann@example.org>",
    date: str = "Mon, 2 Nov 2026 10:00:00 +0000",
    reply_to: str | None = None,
    list_id: str | None = "demo.example.org",
    headers: Sequence[tuple[str, str]] = (),
) -> bytes:
    """One mail with LF line ends. `reply_to` is the Message-ID it answers."""
    fields = [("From", author), ("Subject", subject), ("Date", date)]
    if message_id is not None:
        fields.append(("Message-ID", f"<{message_id}>"))
    if reply_to is not None:
        fields += [("In-Reply-To", f"<{reply_to}>"), ("References", f"<{reply_to}>")]
    if list_id is not None:
        fields.append(("List-Id", f"The list <{list_id}>"))
    fields += headers
    return ("".join(f"{name}: {value}\n" for name, value in fields) + "\n" + body).encode()


def patch(message_id: str, subject: str, *, file: str = "file.c", new: str = "three", **rest: object) -> bytes:
    """A patch mail as `git format-patch` would make it."""
    body = (
        f"Change {file}.\n\nSigned-off-by: Ann Author <ann@example.org>\n---\n"
        f" {file} | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)\n\n{diff(file, new=new)}-- \n2.39.5\n"
    )
    return mail(message_id, subject, body, **rest)  # type: ignore[arg-type]


def series(stem: str, total: int, *, version: int = 1, title: str = "A title", cover: bool = True) -> list[bytes]:
    """A series as `git send-email` sends it: cover, then patches in reply to it; one minute each."""
    tag = "PATCH" if version == 1 else f"PATCH v{version}"
    head = f"{stem}-{0 if cover else 1}-ann@example.org"
    mails = []
    if cover:
        mails.append(mail(head, f"[{tag} 0/{total}] {title}", "What it is about.\n"))
    for number in range(1, total + 1):
        own = f"{stem}-{number}-ann@example.org"
        mails.append(
            patch(
                own,
                f"[{tag} {number}/{total}] {title}: part {number}",
                file=f"part{number}.c",
                new=f"version{version}",
                date=f"Mon, 2 Nov 2026 10:{number:02}:{version:02} +0000",
                reply_to=None if own == head else head,
            )
        )
    return mails


def reply(
    message_id: str, to: str, subject: str, text: str, *, author: str = "Rob Reviewer <rob@example.com>"
) -> bytes:
    """A reply of somebody else."""
    return mail(message_id, f"Re: {subject}", text, author=author, reply_to=to, date="Tue, 3 Nov 2026 09:00:00 +0000")
