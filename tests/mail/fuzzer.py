"""Mails that nobody sends: made-up ones of every shape, cut, spliced, repeated and broken; the same for one seed."""

import base64
import binascii
import quopri
import random
from collections.abc import Callable, Sequence

from mails import diff, mail, patch, reply, series

LARGEST = 200_000  # bytes; a mutation that goes beyond is cut there

HEAD = (
    b"From: Ann <ann@example.org>\nSubject: [PATCH v2 3/7] x: y\nMessage-ID: <1@x>\n"
    b"Date: Mon, 2 Nov 2026 10:00:00 +0000\n"
)
BODY = (
    "From: Bob Both <bob@home.org>\n\nWhy, and Grüße.\n\nReviewed-by: Carl <c@x.org>\n---\nv2: better\n\n f | 2 +-\n\n"
)
PULL = (
    "The following changes since commit 0123456789:\n\n  Title (2026)\n\nare available in the Git repository at:\n\n"
    "  https://git.example.org/x.git tags/y\n\nfor you to fetch changes up to 1:\n\n----\n"
    "Ann (2):\n      One\n      Two\n\n"
    " f | 2 +-\n 1 file changed, 1 insertion(+)\n"
)

HUNK = "@@ -1 +1 @@\n-a\n+b\n"
DIFFS = (
    diff(),
    "diff --git a/f b/g\nsimilarity index 90%\nrename from f\nrename to g\nindex 1..2\n--- a/f\n+++ b/g\n" + HUNK,
    "diff --git a/f b/g\nsimilarity index 100%\ncopy from f\ncopy to g\n",
    "diff --git a/f b/f\nold mode 100644\nnew mode 100755\n",
    "diff --git a/f b/f\nnew file mode 100644\nindex 0000000..e69de29\n",
    'diff --git "a/\\303\\274" "b/\\303\\274"\nindex 1..2 160000\n--- "a/\\303\\274"\n+++ "b/\\303\\274"\n' + HUNK,
    "diff --git a/x b/x\nindex 000..1ab\nGIT binary patch\nliteral 1\nIcmZPo000310RR91\n\nliteral 0\nHcmV?d00001\n\n",
    "diff --git a/i b/i\nindex 0123456..789abcd 100644\nBinary files a/i and b/i differ\n",
    "--- a/f\t2026-01-01 00:00:00\n+++ b/f\t2026-01-01 00:00:00\n@@ -1,2 +1,1 @@ int main(void)\n a\n-b\n",
    "Index: f\n=======\n--- f\t(revision 1)\n+++ f\t(working copy)\n" + HUNK,
    "Index: f\nRCS file: /f,v\nretrieving revision 1.1\ndiff -u -r1.1 f\n--- f\t1 Jan\n+++ f\t2 Jan\n" + HUNK,
    "diff -r 0123456789ab f\n--- a/f\tThu Jan 01 00:00:00 1970\n+++ b/f\tThu Jan 01 00:00:00 1970\n" + HUNK,
    "*** a/f\t2026\n--- b/f\t2026\n***************\n*** 1,2 ****\n! a\n  b\n--- 1,2 ----\n! c\n  b\n",
    "--- a/f\n+++ b/f\n@@ -1,4 +1,4 @@\n a\n\n-b\n+c\n d\n\\ No newline at end of file\n",
    "--- a/f\n+++ b/f\n@@ -1,40 +1,40 @@\n a\n-b",
)

HEADERS = (
    b"From: =?utf-8?q?Ann=2C_A?= <ann@example.org>", b'From: "Author, Ann via demo" <demo@example.org>',
    b"From: Ann via B4 Relay <devnull+ann.home.org@kernel.org>", b"From: ann at example.org (Ann)", b"From:",
    b'From: "Ann <ann@example.org<mailto:ann@example.org>>', b"From: \xfc \xc3\xbc <u@x>", b"Sender: s@x",
    b"X-Original-From: Ann <ann@home.org>", b"X-Original-Sender: a@b", b"Author: Ann <a@b>",
    b"Reply-To: \"Author, Ann\" <ann@home.org>, l@l", b"Cc: A <a@x>, \"B, C\" <b@x>; d@x (D), Group: e@x, f@x;",
    b"Subject: =?utf-8?b?W1BBVENIIDEvMl0geA==?=", b"Subject: Re: [PATCH v3.1 4/7] x", b"Subject:",
    "Subject: 回复: [PATCH 2 of 5] x".encode(), b"Subject: [edk2] [staging/x][PATCH v2 [2/5]] x",
    b"Subject: [PATCH v6,19/24] x\n =?gb2312?B?1tDOxA==?=", b"Subject: [GIT PULL] x", b"Subject: Interdiff of x",
    b"Message-ID: <a@b> (added by x)", b"Message-ID: bare@id", b"Message-ID: <>",
    b"X-Microsoft-Original-Message-ID: <o@x>", b"In-Reply-To: Your message of Monday <a@b> <c@d>",
    b"References: <a@b>\n <c@d>\n\t<e\n f@g>", b"In-Reply-To: <a@b", b"Date: Wed, 13 Dec 100 10:26:38 --500",
    b"Date: 2026-04-08T12:55:53.123+02:00", b"Date: hopeless", b"Date: Wed Apr  8 12:55:53 EST 2026",
    b"List-Id: =?utf-8?q?=C3=BC?= <l.example.org>", b"List-Id: bare.example.org (x)",
    b"List-Post: <mailto:demo@example.org>", b"Received: from a by b id ABC; Thu, 9 Apr 2026 00:00:00 +0000",
    b"Auto-Submitted: auto-replied", b"Content-Type: text/plain; charset=y",
    b"Content-Type: text/plain; charset=gb2312", b"Content-Type: text/plain; charset=iso-2022-jp",
    b"Content-Type: text/plain; format=flowed; delsp=yes", b"Content-Type: text/html; charset=utf-8",
    b"Content-Type: text/x-patch; name=\"x.patch\"", b"Content-Type: message/rfc822",
    b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: multipart/alternative; boundary=\"=c\"",
    b"Content-Type: multipart/signed",
    b"Content-Type: application/octet-stream;\n name*0*=utf-8'en'0001-%C3%BC;\n name*1=\".pat\";\n name*2=ch",
    b"Content-Disposition: attachment; name*1*=''%e4;name*2=b;c*=''d; filename*=b",
    b"Content-Type: text/html; a*=''%e4",
    b"Content-Disposition: attachment; filename=\"a.diff\"", b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: quoted-printable", b"Content-Transfer-Encoding: x-uuencode",
    b"Content-Transfer-Encoding: 9bit", b"Not a header", b"Blank : before the colon", b"X: " + b"long " * 300,
)  # fmt: skip

OUTLOOK = "\n-----Original Message-----\nFrom: Bob <bob@x.org>\nSent: Monday\n\n"
HTML = "<html><head><style>x{}</style></head><body><p>Hello&nbsp;all,<br>two &lt; three<pre>a\n b</pre>"
HTML += "<blockquote type=cite>a<br><blockquote>b</blockquote></blockquote></body>\n"
FOOTER = "_" * 47 + "\ndemo mailing list\nhttps://lists.example.org/listinfo/demo"
FLOWED = b"Content-Type: text/plain; charset=utf-8; format=flowed; delsp=yes"
BASE64 = "Content-Transfer-Encoding: base64\n"

LINES = (
    b"", b" ", b"\t", b"\r", b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b$B", b"x\r\r", b"\xc3", b"\xef\xbb\xbfx",
    b"=", b"==", b"=?utf-8?q?", b"--b", b"--b--", b"--=c", b"--=c--", b"--", b"-- ", b"---", b"--- ", b"_" * 40, b"_",
    b"***************", b">", b"> quoted", b">From x",
    b"From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001", b"From a@b Mon Jan  1 00:00:00 2026",
    b"From: C <c@d>", b"Subject: [PATCH] y", b"diff --git a/f b/f", b"diff ", b"Index: f", b"index 1..2 100644",
    b"--- a/f", b"+++ b/f", b"@@ -1,2 +1,3 @@", b"@@ -1,999999999 +1,999999999 @@", b"@@ -0,0 +1 @@", b"+a", b"-a",
    b" a", b"\\ No newline at end of file", b"GIT binary patch", b"Binary files a/f and b/f differ",
    b"rename from \"\\001", b"rename to x", b"old mode 1", b"new mode 2", b"*** a", b"--- b", b" f | 2 +-",
    b" 2 files changed, 1 insertion(+)", b"Ann (2):", b"  One", b"Reviewed-by: A <a@b>", b"Reviewed-by: A", b" <x@y>",
    b"Fixes: 0123456789ab (\"x\")", b"Link: https://example.org/1", b"[note]", b"Based-on: <a@b>", b"Supersedes: a@b",
    b"Depends-on: https://lore.example.org/l/a@b/",
    b"prerequisite-patch-id: 0123456789012345678901234567890123456789", b"base-commit: 0123456789",
    b"&auml;&a1;&#228;&b",
    b"change-id: 20260101-x-abc", b"On Monday Ann wrote:", b"-----Original Message-----", b"8< ----- >8",
    b"The following changes since commit 1:", b"are available in the git repository at:", b"  git://x/y z", b"<p>x",
    b"<!--", b"-->", b"<pre>", b"<script>", b"&lt;&#0;&#55296;", b"begin 644 x", b"#0V%T", b"end", b"QUJD",
    b"=C3=BC=", b"demo mailing list", b"https://x.example.org/listinfo",
)  # fmt: skip

TYPES = ("mixed", "alternative", "signed", "related", "report", "digest")

Mutation = Callable[[bytes], bytes]


class Fuzzer:
    """`mail(n)` is the n-th mail of a seed; it depends on nothing but the seed, n and the real mails given."""

    def __init__(self, seed: int, real: Sequence[bytes] = ()) -> None:
        """Mutate made-up mails and, where there are any, real ones."""
        self.seed = seed
        self.pools = [pool for pool in (made_up(), list(real)) if pool]
        self.random = random.Random()

    def mail(self, count: int) -> bytes:
        """The mail of that number."""
        self.random.seed(f"{self.seed}/{count}")
        raw = self._one()
        for _ in range(self.random.choice((1, 1, 2, 3, 5, 8))):
            raw = self.random.choice(self._mutations())(raw)[:LARGEST]
        return raw

    def _one(self) -> bytes:
        return self.random.choice(self.random.choice(self.pools))

    def _mutations(self) -> tuple[Mutation, ...]:
        return (
            self._splice, self._splice, self._graft, self._graft, self._insert_lines, self._insert_lines,
            self._insert_lines, self._insert_headers, self._insert_headers, self._insert_headers, self._repeat,
            self._repeat, self._repeat_counted, self._repeat_bytes, self._cut, self._drop, self._swap, self._noise,
            self._noise, self._join, self._encode, self._wrap, self._wrap, self._part_out, self._nest, self._line_ends,
        )  # fmt: skip

    def _some(self, lines: list[bytes], longest: int = 40) -> tuple[int, int]:
        """Where a few neighbouring lines begin and end."""
        start = self.random.randrange(len(lines))
        return start, min(len(lines), start + self.random.choice((1, 1, 2, 5, longest)))

    def _often(self) -> int:
        return self.random.choice((2, 3, 20, 200, 2_000, 20_000))

    def _splice(self, raw: bytes) -> bytes:
        """The header of one mail and the body of another."""
        return raw.partition(b"\n\n")[0] + b"\n\n" + self._one().partition(b"\n\n")[2]

    def _graft(self, raw: bytes) -> bytes:
        """Lines of another mail somewhere in this one."""
        lines, others = raw.split(b"\n"), self._one().split(b"\n")
        start, end = self._some(others)
        at = self.random.randrange(len(lines) + 1)
        return b"\n".join(lines[:at] + others[start:end] + lines[at:])

    def _insert_lines(self, raw: bytes) -> bytes:
        lines = raw.split(b"\n")
        for _ in range(self.random.choice((1, 2, 5))):
            lines.insert(self.random.randrange(len(lines) + 1), self.random.choice(LINES))
        return b"\n".join(lines)

    def _insert_headers(self, raw: bytes) -> bytes:
        head, blank, body = raw.partition(b"\n\n")
        lines = head.split(b"\n")
        for _ in range(self.random.choice((1, 2, 5))):
            new = self.random.choice(HEADERS)
            name = new.partition(b":")[0] + b":"
            if self.random.random() < 0.5:
                lines = [line for line in lines if not line.startswith(name)]
            lines.insert(self.random.randrange(len(lines) + 1), new)
        return b"\n".join(lines) + blank + body

    def _repeat(self, raw: bytes) -> bytes:
        lines = raw.split(b"\n")
        start, end = self._some(lines, 10)
        few = LARGEST // (1 + sum(len(line) + 1 for line in lines[start:end]))
        return b"\n".join(lines[:end] + lines[start:end] * min(self._often(), few) + lines[end:])

    def _repeat_counted(self, raw: bytes) -> bytes:
        """A few neighbouring lines, or a piece of one, over and over, no two alike."""
        lines = raw.split(b"\n")
        start, end = self._some(lines, 10)
        piece, between = b"\n".join(lines[start:end]), b"\n"
        if start + 1 == end and self.random.random() < 0.5:
            piece, between = piece[-self.random.choice((2, 5, 20)) :], b""
        at = self.random.randrange(len(piece) + 1)
        few = LARGEST // (len(piece) + 6)
        copies = [piece[:at] + b"%d" % number + piece[at:] for number in range(min(self._often(), few))]
        return b"\n".join([*lines[:end], between.join(copies), *lines[end:]])

    def _repeat_bytes(self, raw: bytes) -> bytes:
        at = self.random.randrange(len(raw) + 1)
        piece = raw[at : at + self.random.choice((1, 1, 2, 3, 7, 30))]
        if self.random.random() < 0.3:
            piece = self.random.choice(
                (
                    b"[",
                    b"<",
                    b"(",
                    b'"',
                    b"=?",
                    b"_",
                    b" ",
                    b"\t",
                    b"a@",
                    b"a.",
                    b"\r",
                    b"\0",
                    b"<!--",
                    b"&#",
                    b"=\n",
                    b"\xff",
                )
            )
        return raw[:at] + piece * self._often() + raw[at:]

    def _cut(self, raw: bytes) -> bytes:
        return raw[: self.random.randrange(len(raw) + 1)]

    def _drop(self, raw: bytes) -> bytes:
        lines = raw.split(b"\n")
        start, end = self._some(lines)
        return b"\n".join(lines[:start] + lines[end:])

    def _swap(self, raw: bytes) -> bytes:
        lines = raw.split(b"\n")
        start, end = self._some(lines)
        at = self.random.randrange(start + 1)
        return b"\n".join(lines[:at] + lines[start:end] + lines[at:start] + lines[end:])

    def _noise(self, raw: bytes) -> bytes:
        data = bytearray(raw)
        for _ in range(min(len(data), self.random.choice((1, 3, 30)))):
            data[self.random.randrange(len(data))] = self.random.choice(b'\0\r\n\t "<>=?:;-_@[](),\\\x1b\x80\xc3\xff')
        return bytes(data)

    def _join(self, raw: bytes) -> bytes:
        """Take line ends away, or put some where none were."""
        at = raw.find(b"\n", self.random.randrange(len(raw) + 1))
        if at < 0:
            return raw
        return raw[:at] + self.random.choice((b"", b" ", b"\n ", b"\n\n", b"\r", b"\r\n", b"\n\t")) + raw[at + 1 :]

    def _encode(self, raw: bytes) -> bytes:
        """The body in a transfer encoding, which the header may know or not."""
        head, blank, body = raw.partition(b"\n\n")
        ends = body.replace(b"\n", b"\r\n") if self.random.random() < 0.3 else body
        name, encoder = self.random.choice(
            (("base64", base64.encodebytes), ("quoted-printable", quopri.encodestring), ("uuencode", _uuencode))
        )
        if self.random.random() < 0.8:
            head += f"\nContent-Transfer-Encoding: {name}".encode()
        return head + blank + encoder(ends)

    def _wrap(self, raw: bytes) -> bytes:
        """The body as one of several parts."""
        head, _, body = raw.partition(b"\n\n")
        boundary = self.random.choice((b"b", b"=c", b"x" * 70, b"a b"))
        parts = [b"\n" + body]
        for _ in range(self.random.choice((0, 1, 1, 2, 30))):
            few = self.random.randrange(3)
            part = b"".join(self.random.choice(HEADERS) + b"\n" for _ in range(few)) + b"\n" + self.random.choice(LINES)
            parts.insert(self.random.randrange(len(parts) + 1), part)
        kind = self.random.choice(TYPES).encode()
        lines = b"".join(b"--" + boundary + b"\n" + part + b"\n" for part in parts)
        end = self.random.choice((b"--" + boundary + b"--\n", b"--" + boundary + b"--\n", b""))
        return head + b"\nContent-Type: multipart/" + kind + b'; boundary="' + boundary + b'"\n\n' + lines + end

    def _part_out(self, raw: bytes) -> bytes:
        """The body's beginning in many parts, no two alike, each with some fields."""
        head, _, body = raw.partition(b"\n\n")
        fields = b"".join(self.random.choice(HEADERS) + b"\n" for _ in range(self.random.randrange(3)))
        part = b"--b\n" + fields + b"\n" + body[: self.random.choice((20, 400, 2_000))]
        many = min(self.random.choice((2, 30, 400)), LARGEST // len(part))
        parts = b"".join(part + b"%04d\n" % number for number in range(many))
        return head + b"\nContent-Type: multipart/mixed; boundary=b\n\n" + parts + b"--b--\n"

    def _nest(self, raw: bytes) -> bytes:
        """Multiparts in multiparts, or forwarded mails in forwarded mails."""
        head, _, body = raw.partition(b"\n\n")
        deep = self.random.choice((2, 10, 99, 101, 1_000))
        lines = []
        for depth in range(deep):
            lines.append(b"Content-Type: multipart/mixed; boundary=n%d\n\n--n%d\n" % (depth, depth))
            if self.random.random() < 0.1:
                lines.append(b"Content-Type: message/rfc822\n\n")
        return head + b"\n" + b"".join(lines) + b"\n" + body

    def _line_ends(self, raw: bytes) -> bytes:
        return raw.replace(b"\n", self.random.choice((b"\r\n", b"\r\n", b"\r\r\n", b"\r", b"\n\n")))


def _uuencode(data: bytes) -> bytes:
    lines = [binascii.b2a_uu(data[at : at + 45]) for at in range(0, len(data), 45)]
    return b"begin 644 x\n" + b"".join(lines) + b" \nend\n"


def _part(kind: str, content: str, more: str = "") -> str:
    return f"--b\nContent-Type: {kind}\n{more}\n{content}\n"


def _multi(kind: str, *parts: str) -> bytes:
    return HEAD + f"Content-Type: multipart/{kind}; boundary=b\n\n{''.join(parts)}--b--\n".encode()


def made_up() -> list[bytes]:
    """One mail at least of every MIME shape, header form, diff form and encoding that real mail has."""
    return [*_plain(), *_texts(), *_parts()]


def _plain() -> list[bytes]:
    answer = "On Monday Ann wrote:\n> a\n> b\n> c\n\nReviewed-by: Rob <rob@example.com>\n-- \nRob\n"
    pasted = (
        f"See below.\n\nFrom {'01' * 20} Mon Sep 17 00:00:00 2001\nFrom: Bob <bob@x.org>\nSubject: [PATCH] y\n\nWhy.\n"
    )
    bases = "\nBased-on: <1@x>\nbase-commit: 0123456789\nchange-id: a-b\n"
    return [
        *series("s", 2), *series("t", 2, version=3, cover=False), patch("1@x", "[PATCH] x"),
        reply("2@x", "1@x", "[PATCH] x", answer), reply("3@x", "1@x", "[PATCH] x", f"> how?\n\nSo:\n\n{DIFFS[0]}"),
        reply("9@x", "1@x", "[PATCH] x", f"> how?\n\n{''.join(DIFFS)}\nWhy?\n{OUTLOOK}{DIFFS[0]}"),
        mail("4@x", "[GIT PULL] x", PULL), mail("5@x", "[PULL 00/20] x", PULL), mail(None, "x"),
        mail("6@x", "", f"{pasted}---\n{DIFFS[0]}"), mail("7@x", "[syzbot] x", author="syzbot <syzbot+01@example.com>"),
        mail("8@x", "[PATCH 0/2] x", PULL + bases),
    ]  # fmt: skip


def _texts() -> list[bytes]:
    """A patch in every transfer encoding, charset and format, with every header and every diff."""
    utf8 = HEAD + b"Content-Type: text/plain; charset=utf-8\n"
    text = (BODY + DIFFS[0] + "-- \n2.39.5\n").encode()
    encoded = HEAD + b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(text.replace(b"\n", b"\r\n"))
    stuffed = b"\n".join(b" " + line if line[:1] in (b" ", b">") else line for line in text.split(b"\n"))
    return [
        *(utf8 + f"\n{BODY}{one}-- \n2.39.5\n".encode() for one in DIFFS),
        utf8 + ("\n" + BODY + "".join(DIFFS)).encode(),
        *(HEAD + header + b"\n\n" + text for header in HEADERS), encoded, encoded + FOOTER.encode(),
        HEAD + b"Content-Type: text/plain; charset=iso-8859-1\n\n" + text.decode().encode("latin-1"),
        HEAD + b"Content-Transfer-Encoding: quoted-printable\n\n" + quopri.encodestring(text),
        HEAD + b"Content-Transfer-Encoding: x-uuencode\n\n" + _uuencode(text),
        HEAD + FLOWED + b"\n\n" + stuffed,
        HEAD.replace(b"Subject: ", b"Subject: Re: ") + FLOWED + b"\n\n> how?\n\n" + stuffed,
        HEAD + b"Content-Type: text/html; charset=utf-8\n\n" + HTML.encode(),
    ]  # fmt: skip


def _parts() -> list[bytes]:
    """Every shape of multipart."""
    text = BODY + DIFFS[0] + "-- \n2.39.5\n"
    nested = f"--=c\n\n{text}--=c\nContent-Type: text/html\n\n{HTML}\n--=c--"
    nested = _part('multipart/alternative; boundary="=c"', nested)
    octets = _part("application/octet-stream; name=a.diff", base64.encodebytes(text.encode()).decode(), BASE64)
    attached = _part('text/x-patch; name="x.patch"', text)
    return [
        _multi("alternative", _part("text/plain", text), _part("text/html", HTML)),
        _multi("signed", nested, _part("application/pgp-signature", "-----BEGIN PGP SIGNATURE-----")),
        _multi("mixed", _part("text/plain", "See below."), attached, _part("text/plain", FOOTER)),
        _multi("mixed", octets, nested), _multi("related", nested, _part("image/png", "iVBORw0KGgo=", BASE64)),
        _multi("mixed", _part("text/plain", "See."), _part("message/rfc822", patch("9@x", "[PATCH] z").decode())),
        _multi("mixed", *(_part("text/plain", f"part {number}") for number in range(50))),
    ]  # fmt: skip
