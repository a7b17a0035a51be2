"""A mailing list in small: made mails of every kind that order could matter to."""

from mails import mail, patch, reply, series


def mailing_list() -> list[bytes]:
    """About 150 mails, in the order they were written. No two are equal."""
    return [written for topic in range(7) for written in _topic(topic)] + _oddities()


def deliveries(mails: list[bytes]) -> list[bytes]:
    """The mails as they arrive: some of them twice, over another hop, with a munged From or a footer."""
    arriving = []
    for number, written in enumerate(mails):
        arriving.append(written)
        if number % 5 == 0:
            arriving.append(b"Received: from hop%d by mx; Mon, 2 Nov 2026 11:00:00 +0000\n" % number + written)
        if number % 11 == 0:
            munged = written.replace(
                b"From: Ann Author <ann@example.org>",
                b"From: Ann Author via demo <demo@example.org>\nReply-To: Ann Author <ann@example.org>",
            )
            arriving.append(munged)
        if number % 13 == 0:
            arriving.append(written.replace(b"\nSubject: ", b"\nSubject: [demo] ", 1))
    return arriving


def _topic(topic: int) -> list[bytes]:
    """One change from its first version to its merge."""
    stem = f"2026110210{topic:02}00.{1000 + topic}"
    total = 3 + topic % 3
    title = f"topic {topic}"
    cover = topic % 4 != 3
    head = f"{stem}-{0 if cover else 1}-ann@example.org"
    first = f"{stem}-1-ann@example.org"
    v1 = series(stem, total, title=title, cover=cover)
    review = reply(
        f"review-{topic}@example.com",
        first,
        f"[PATCH 1/{total}] {title}: part 1",
        "Reviewed-by: Rob Reviewer <rob@example.com>\n",
    )
    answer = reply(
        f"answer-{topic}@example.org",
        f"review-{topic}@example.com",
        f"[PATCH 1/{total}] {title}: part 1",
        "> Reviewed-by: Rob Reviewer <rob@example.com>\nThanks.\n",
        author="Ann Author <ann@example.org>",
    )
    stray = reply(f"stray-{topic}@example.com", f"never-seen-{topic}@example.com", "something else", "Lost.\n")
    again = [
        written.replace(b"[PATCH", b"[PATCH RESEND")
        .replace(stem.encode(), f"{stem}9".encode())
        .replace(b"Mon, 2 Nov", b"Wed, 4 Nov")
        for written in v1
    ]
    v2_stem = f"2026110510{topic:02}00.{2000 + topic}"
    v2 = [
        written.replace(b"Mon, 2 Nov", b"Thu, 5 Nov")
        for written in series(v2_stem, total, version=2, title=title, cover=cover)
    ]
    if topic % 2:  # into the thread of v1, as many lists have it
        v2[0] = v2[0].replace(b"\nList-Id:", f"\nIn-Reply-To: <{head}>\nReferences: <{head}>\nList-Id:".encode(), 1)
    reroll = patch(
        f"reroll-{topic}@example.org",
        f"[PATCH v2.1 2/{total}] {title}: part 2",
        file="part2.c",
        new="rerolled",
        date="Fri, 6 Nov 2026 10:00:00 +0000",
        reply_to=f"{v2_stem}-2-ann@example.org",
    )
    applied = reply(f"applied-{topic}@example.com", head, f"[PATCH 0/{total}] {title}", "Applied, thanks.\n")
    return [*v1, review, answer, stray, *(again if topic % 3 == 0 else []), *v2, reroll, applied]


def _oddities() -> list[bytes]:
    one = "same@example.org"
    return [
        mail(one, "[PATCH v3 0/2] twice under one id", "The third version.\n"),
        mail(one, "[PATCH v4 0/2] twice under one id", "The fourth version.\n", date="Tue, 3 Nov 2026 10:00:00 +0000"),
        mail(None, "no id", "Without a Message-ID.\n"),
        mail(None, "no id", "Another without a Message-ID.\n"),
        mail("bridge@example.org", "Re: both", "Binds two threads.\n", headers=[("References", "<left@x> <right@x>")]),
        mail("left@x", "left", "One thread.\n"),
        mail("right@x", "right", "Another thread.\n"),
        *(
            patch(
                f"loose-{number}@example.net",
                f"[PATCH {number}/4] loose: part {number}",
                date=f"Mon, 2 Nov 2026 12:0{number}:00 +0000",
            )
            for number in (1, 2, 3, 4)
        ),
        patch("bare@example.org", "fix it without a tag", list_id="other.example.org"),
        mail("nolist@example.org", "no list", list_id=None),
        reply("circle-a@x", "circle-b@x", "circle", "A.\n"),
        reply("circle-b@x", "circle-a@x", "circle", "B.\n"),
        patch("based@example.org", "[PATCH] on top", reply_to="loose-2@example.net"),
    ]
