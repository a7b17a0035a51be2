"""What a mail is, and why."""

import pytest
from mails import diff, mail

from ingestd.mail.parse import parse
from ingestd.mail.values import Kind

PULL = (
    "The following changes since commit 0123456789:\n\n  Title\n\nare available in the Git repository at:\n\n"
    "  https://git.example.org/x.git tags/y\n\nfor you to fetch changes up to 1:\n\n  T\n\n"
)
QUOTED = "On Monday Bob wrote:\n> one\n> two\n> three\nAnswer.\n"
FORM_LETTER = (
    "On 16/05/2023 Ann wrote:\n> a\n\nAcked-by: Bob <bob@x.org>\n\n---\n\n<form letter>\n"
    "This is an automated instruction, just in case, because many review tags\nare being ignored.\n"
)
OUTLOOK = (
    "I have run it.\n\n-----Original Message-----\nFrom: Rob <rob@x.org>\nSent: Monday\n\n"
    "My bot found new DT warnings on the .dts files in your series.\n"
)
APPLIED = "The patch\n\n   x: y\n\nhas been applied to the spi tree at\n\n   https://git.example.org/spi.git\n\n"
ADDED = "The patch titled\n     Subject: mm: x\nhas been added to the -mm mm-unstable branch.  Its filename is\n\n"
FOUND = "\nMy bot found errors running 'make dt_binding_check':\n"
SHORTLOG = "Hello.\n\nAnn Author (2):\n  One\n  Two\n\n f | 2 +-\n 2 files changed, 2 insertions(+)\n"


@pytest.mark.parametrize(
    ("subject", "body", "options", "kind"),
    [
        ("[PATCH] x", diff(), {}, "patch"),
        ("x", diff(), {}, "patch"),
        ("[RFC] x", diff(), {"reply_to": "0@x"}, "patch"),
        ("[PATCH 0/2] x", "Text.\n", {}, "cover"),
        ("[PATCH 0/1] x", diff(), {}, "cover"),
        ("[PULL 00/20] x", PULL, {}, "cover"),
        ("[GIT PULL] x", PULL, {}, "pull"),
        ("[GIT PULL] x", PULL + QUOTED, {"reply_to": "0@x"}, "pull"),
        ("Re: [GIT PULL] x", PULL, {"reply_to": "0@x"}, "reply"),
        ("Please pull", PULL, {}, "pull"),
        ("Re: [PATCH] x", "Fine.\n", {}, "reply"),
        ("AW: [PATCH] x", "Fine.\n", {}, "reply"),
        ("Re: [PATCH] x", diff(), {"reply_to": "0@x"}, "reply"),
        ("[PATCH 1/2] x", QUOTED, {}, "reply"),
        ("[PATCH 0/2] x", QUOTED, {"reply_to": "0@x"}, "reply"),
        ("[PATCH 0/2] x", QUOTED + SHORTLOG, {"reply_to": "0@x"}, "cover"),
        ("x", "Text.\n", {"reply_to": "0@x"}, "reply"),
        ("x", "Text.\n", {}, "other"),
        ("[PATCH 1/1] x", "Why.\n\nSigned-off-by: Ann <a@x>\n---\n", {}, "patch"),
        ("[PATCH 1/1] x", "I have sent a patch.\n", {}, "other"),
        ("[v8] x", SHORTLOG, {}, "cover"),
        ("[PATCH] x: y can be static", diff(), {"author": "kernel test robot <lkp@intel.com>"}, "notice"),
        ("Re: [PATCH] x", "Hi.\n", {"author": "kernel test robot <oliver.sang@intel.com>"}, "notice"),
        ("[syzbot] x", "Hi.\n", {"author": "syzbot <syzbot+0123@syzkaller.appspotmail.com>"}, "notice"),
        ("Re: [PATCH] x", "Hello.\n", {"author": "patchwork-bot+netdevbpf@kernel.org"}, "notice"),
        ("Re: [GIT PULL] x", "Merged.\n", {"author": "pr-tracker-bot@kernel.org"}, "notice"),
        (
            "Re: [PATCH] x",
            "> a\n\nMy bot found errors running 'make dt_binding_check':\n",
            {"reply_to": "0@x"},
            "notice",
        ),
        ('Patch "x" has been added to the 6.1-stable tree', diff(), {}, "notice"),
        ('FAILED: patch "[PATCH] x" failed to apply to 6.1-stable tree', diff(), {}, "notice"),
        ("Re: [PATCH] x", "Hi.\n", {"headers": [("Auto-Submitted", "auto-replied")]}, "notice"),
        ("Re: [PATCH] x", "Hi.\n", {"headers": [("Auto-Submitted", "no")]}, "reply"),
        ("Undelivered Mail Returned to Sender", "Hi.\n", {"author": "MAILER-DAEMON@x.org"}, "notice"),
        ("x Digest, Vol 37, Issue 25", "Send x mailing list submissions to\n", {}, "notice"),
        ("Re: x Digest, Vol 37, Issue 25", "> a\nWill do.\n", {"reply_to": "0@x"}, "reply"),
        ("Re: [PATCH] x", "> a\nYes.\n", {"author": "Oliver Sang <oliver.sang@intel.com>"}, "reply"),
        ("Re: [PATCH] x", FORM_LETTER, {"reply_to": "0@x"}, "reply"),
        ("RE: [PATCH] x", OUTLOOK, {"reply_to": "0@x"}, "reply"),
        ("Re: [PATCH] x", "> a\nApplied, thanks.\n", {"reply_to": "0@x"}, "reply"),
        ("[Bug 1827005] [NEW] x", "Hi.\n", {"author": "Bob <1827005@bugs.launchpad.net>"}, "notice"),
        ("Interdiff of x", diff(), {"reply_to": "0@x"}, "notice"),
        ("Interdiff: [PATCH v2 0/2] x", diff(), {"reply_to": "0@x"}, "notice"),
        ("Re: [PATCH] x", "> a\n" * 1_000 + FOUND, {"reply_to": "0@x"}, "notice"),
        ("Re: [PATCH] x", "> a\n\nHi,\n\nThis is the friendly patch-bot of Bob Both.\n", {"reply_to": "0@x"}, "notice"),
        ("[tip: irq/core] x", diff(), {"author": '"tip-bot2 for Ann" <tip-bot2@linutronix.de>'}, "notice"),
        ('Applied "x: y" to the spi tree', APPLIED + diff(), {"reply_to": "0@x"}, "notice"),
        ('Applied "x: y" to the spi tree', "> a\nI have done so.\n", {"reply_to": "0@x"}, "reply"),
        ("+ mm-x.patch added to mm-unstable branch", ADDED + diff(), {}, "notice"),
        (
            "[merged mm-stable] mm-x.patch removed from -mm tree",
            ADDED.replace("The", "The quilt") + diff(),
            {},
            "notice",
        ),
        ('Re: Patch "x" has been added to the 6.1-stable tree', "> a\nPlease drop it.\n", {"reply_to": "0@x"}, "reply"),
        ("Re: Range-diff of x", "> a\nFine.\n", {"reply_to": "0@x"}, "reply"),
        ("[PATCH] mm: x.patch is added to the tree", diff(), {}, "patch"),
        ("✓ CI.BAT: success for x", "Fine.\n", {"author": "Patchwork <patchwork@x.org>"}, "notice"),
        ("Re: [PATCH] x", "> a\nYes.\n", {"author": "Patchwork Maintainer <a@x.org>"}, "reply"),
        ("Automatic reply: [PATCH] x", "I am away.\n", {"reply_to": "0@x"}, "notice"),
        ("Out of office hours", "Text.\n", {"reply_to": "0@x"}, "reply"),
        ('Re: Applied "x: y" to the spi tree', "> a\nPlease drop it.\n", {"reply_to": "0@x"}, "reply"),
        ("Re: + mm-x.patch added to -mm tree", "> a\nPlease drop it.\n", {"reply_to": "0@x"}, "reply"),
    ],
)
def test_kind(subject: str, body: str, options: dict[str, object], kind: str) -> None:
    read = parse(mail("1@x", subject, body, **options))  # type: ignore[arg-type]
    assert read.kind == kind
    assert read.kind_reason


def test_a_pull_cover_keeps_its_url() -> None:
    read = parse(mail("1@x", "[PULL 00/20] x", PULL))
    assert (read.kind, read.pull_url) == (Kind.COVER, "https://git.example.org/x.git tags/y")


def test_a_reason_never_holds_text_of_the_mail() -> None:
    reasons = {parse(mail("1@x", f"[PATCH {number}/9] secret", diff())).kind_reason for number in range(1, 9)}
    assert len(reasons) == 1
