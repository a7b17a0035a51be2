"""What a mail is, and why: patch, cover, pull, reply, notice or other."""

import re

from ingestd.mail import header
from ingestd.mail.text import Body, quoted_from
from ingestd.mail.values import Kind, Person, Subject

_BOTS = re.compile(
    r"lkp@intel\.com\Z|(?:syzbot[+@]|patchwork-bot\+|"
    r"pr-tracker-bot@|patchew-bot|no-?reply@|noreply-|mailer-daemon@|mailer@lists\.sr\.ht|builds?@travis|"
    r"bot@kernelci|kernelci|conchuod\+bot|ci_notify@|regzbot|buildbot@|bugzilla-daemon@|gitlab@|notifications@github|"
    r"tip-?bot\d?@|\d+@bugs\.launchpad\.net\Z)",
    re.IGNORECASE,
)
_BOT_NAMES = re.compile(
    r"kernel test robot|syzbot|kbuild test robot|patchwork bot|pr-tracker-bot|Mail Delivery (?:Sub)?system|"
    r"bot\+|Patchew|Patchwork\Z|kernelci\.org bot",
    re.IGNORECASE,
)
_STABLE = re.compile(
    r"patch \".{1,300}\" (?:has been )?added to |patch .{1,300} added to .{1,100} (?:tree|queue)|FAILED: patch \"|"
    r"WTF: patch |Patch \".{1,300}\" (?:has been )?(?:queued|dropped|removed)",
    re.IGNORECASE,
)
# Mails of programs that say what became of a patch: those of Mark Brown's trees, and of the -mm tree.
_APPLIED = re.compile(
    r"Applied \".{1,300}\" to the \S{1,100} tree|"
    r"(?:[-+] )?\S{1,200}\.patch (?:added to|removed from) (?:-mm tree|mm-\S+ branch)"
)
_HAS_BEEN = re.compile(r"^has been (?:applied to|added to|removed from)\b", re.MULTILINE)
_SUBJECT_NOTICE = re.compile(
    r"\[Bug \d+\]|\[syzbot\]|(?:Undelivered|Undeliverable|Delivery Status|Returned mail|Mail delivery failed)|"
    r"(?:Automatic reply|Automatische Antwort|Out of (?:the )?office)(?: ?:|\Z)|"
    r"Forthcoming:|[\w.-]{1,80} Digest, Vol \d+|(?:list )?linux-next: (?:manual|build|Tree)",
    re.IGNORECASE,
)
_INTERDIFF = re.compile(r"(?:Interdiff|Range-diff)\b", re.IGNORECASE)
_ATTRIBUTION = re.compile(
    r"^(?:On .{5,200}|.{3,200} (?:wrote|writes|schrieb|a écrit)\s?:)[ \t]{0,20}$", re.MULTILINE | re.IGNORECASE
)
_FORWARDED = re.compile(r"\nFrom: .{3,200}+\nDate: ", re.IGNORECASE)
_SIGNED = re.compile(r"^Signed-off-by:", re.MULTILINE | re.IGNORECASE)
_SHORTLOG = re.compile(r"^\S[^\n]{0,80} \(\d{1,3}\):\n  \S", re.MULTILINE)
_CHANGED = re.compile(r"\n \d{1,5} files? changed, \d")
_BOT_TEXT = re.compile(
    r"^(?:My bot found (?:errors|new)|Thank you for (?:your|the) (?:patch|submission)[^\n]{0,60}[Bb]ot|"
    r"(?:This|Here is an?) (?:is an )?automated(?! instruction, just in case)|Hi, this is your (?:bot|friendly)|"
    r"This is the (?:semi-)?friendly patch-bot)",
    re.MULTILINE,
)


def tell(
    headers: header.Headers, subject: Subject, sender: Person, body: Body, pull_url: str | None, *, answer: bool
) -> tuple[Kind, str]:
    """The kind of a mail and a short reason. `answer`: the subject or the text says that it answers something."""
    reason = _notice(headers, subject, sender, body)
    if reason:
        return Kind.NOTICE, reason
    if answer:
        return Kind.REPLY, "an answer that carries a diff" if body.diff else "an answer"
    if subject.number == 0:
        return Kind.COVER, "number 0 of a series"
    if pull_url and not body.diff:
        return Kind.PULL, "asks to pull"
    if body.diff:
        return _with_diff(subject, body)
    text = body.content or ""
    if any(tag.upper() == "PULL" for tag in subject.tags) and subject.number is None:
        return Kind.PULL, "tagged as a pull request"
    if subject.number is not None and _tagged(subject) and _SIGNED.search(text):
        return Kind.PATCH, "numbered and signed as a patch, but without a diff"
    if _has_shortlog(text) and _has_diffstat(text):
        return Kind.COVER, "without a number, but with a shortlog and a diffstat"
    if headers.first("in-reply-to") or headers.first("references"):
        return Kind.REPLY, "answers another mail"
    return Kind.OTHER, "no diff, no number, no answer"


def _with_diff(subject: Subject, body: Body) -> tuple[Kind, str]:
    if body.attached and not subject.tags:
        return Kind.OTHER, "a diff attached, but the subject names no patch"
    if subject.number is not None:
        return Kind.PATCH, "a diff and a number"
    return Kind.PATCH, "a diff" if subject.tags else "a diff, though the subject has no tag"


def _tagged(subject: Subject) -> bool:
    return any("PATCH" in tag.upper() for tag in subject.tags)


def _notice(headers: header.Headers, subject: Subject, sender: Person, body: Body) -> str | None:
    if _BOTS.match(sender.email) or _BOT_NAMES.match(sender.name):
        return "sent by a bot"
    auto = (headers.first("auto-submitted") or "no").strip().lower()
    if not auto.startswith("no"):
        return f"Auto-Submitted: {auto[:40]}"
    if (headers.first("x-failed-recipients") or headers.text("return-path") == "<>") and not body.diff:
        return "a bounce"
    if not subject.reply and (_STABLE.match(subject.title) or _STABLE.match(subject.text)):
        return "a stable notice"
    if not subject.reply and _APPLIED.match(subject.title) and _HAS_BEEN.search(body.own):
        return "says what became of a patch"
    if _SUBJECT_NOTICE.match(subject.text):
        return "a notice by its subject"
    if not subject.reply and (_INTERDIFF.match(subject.title) or _INTERDIFF.match(subject.text)):
        return "an interdiff"
    return _answered_by_machine(body) if subject.reply else None


def _answered_by_machine(body: Body) -> str | None:
    """By its text; what Outlook quotes below is not its text."""
    top = body.own[:3000]
    if ("bot" in top or "automated" in top) and (found := _BOT_TEXT.search(top)):
        below = _quoted_from(top)
        return None if 0 <= below < found.start() else "a bot's answer"
    return None


def _has_diffstat(text: str) -> bool:
    return " changed, " in text and _CHANGED.search("\n" + text) is not None


def _has_shortlog(text: str) -> bool:
    return "):\n  " in text and _SHORTLOG.search(text) is not None


def is_answer(subject: Subject, headers: header.Headers, text: str, *, offers: bool) -> bool:
    """Does the mail answer something? By its subject, or by quoting while it offers no diff and no pull request.

    Some mail programs drop the `Re:`; a patch's own subject above quoted text is an answer all the same.
    """
    if subject.reply:
        return True
    if offers or not text or _has_diffstat(text) or _has_shortlog(text):
        return False
    text = "\n" + text
    quotes = text.count("\n>") + text.count("\n|")
    known = (subject.tags and subject.number != 0) or headers.first("in-reply-to") or headers.first("references")
    if quotes >= 3 and (known or _ATTRIBUTION.search(text)):
        return True
    return bool(headers.first("in-reply-to") or subject.number) and _quoted_from(text) >= 0


def _quoted_from(text: str) -> int:
    """Where a mail begins that is quoted without signs before its lines; -1 where none is."""
    forwarded = _FORWARDED.search("\n" + text)
    return min((at for at in (quoted_from(text), forwarded.start() if forwarded else -1) if at >= 0), default=-1)
