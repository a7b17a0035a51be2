"""Where DATA ends and which dots are only transport (RFC 5321 4.5.2); nothing else in a mail is touched."""

_END = b"\r\n.\r\n"


def stuff(mail: bytes) -> bytes:
    """Return what goes over the wire after 354: every line's leading dot doubled, the final dot added.

    Lines end with CRLF. A mail that does not end with CRLF gets one, since the final dot needs it.
    """
    stuffed = mail.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    end = b".\r\n" if not mail or mail.endswith(b"\r\n") else _END
    return stuffed + end


class Unstuffer:
    """Takes DATA in pieces cut anywhere; gives the mail, and what followed its final dot.

    Only CRLF.CRLF ends a mail. LF.LF, LF.CRLF, CRLF.LF and CR.CR are bytes like any others: who takes them
    for an end sees two mails where the mail server before us saw one (SMTP smuggling).
    """

    def __init__(self) -> None:
        """Start right after the 354, where a dot counts as the first of a line."""
        self._held = b"\r\n"  # the unfinished end of what was fed, a beginning of _END
        self._virtual = 2  # bytes of the first _held that nobody sent
        self.rest: bytes | None = None  # what was fed beyond the final dot; None before it has come

    def feed(self, piece: bytes) -> bytes:
        """Return the next bytes of the mail. Sets `rest` when `piece` has the final dot; then feed no more."""
        data = self._held + piece
        end = data.find(_END)
        if end >= 0:
            self.rest = data[end + len(_END) :]
            data = data[: end + 2]
        else:
            held = next(n for n in (4, 3, 2, 1, 0) if data.endswith(_END[:n]))
            self._held = data[len(data) - held :]
            data = data[: len(data) - held]
        if self._virtual and data:
            mail = data.replace(b"\r\n.", b"\r\n")[self._virtual :]
            self._virtual = 0
            return mail
        return data.replace(b"\r\n.", b"\r\n")
