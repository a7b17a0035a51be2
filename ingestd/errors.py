"""The failures that leave a room: two for mail servers, the rest for people."""


class IngestdError(Exception):
    """Root of all our own errors. A class's docstring is its default message."""

    def __init__(self, message: str | None = None) -> None:
        """Keep `message`, else the docstring of the class."""
        super().__init__(message or (self.__doc__ or "").strip())


class MailError(IngestdError):
    """What a mail server hears. `reply` is public and generic; the cause belongs into the log."""

    reply = "451 4.3.0 Try again later"

    def __init__(self, message: str | None = None, *, reply: str | None = None) -> None:
        """`message` is for the log; `reply` is the whole SMTP reply line, without CRLF."""
        super().__init__(message)
        if reply is not None:
            self.reply = reply


class Temporary(MailError):  # noqa: N818 - the mail server's own word
    """Try again later: the fault is ours or passes."""


class Full(Temporary):
    """The queue is full."""

    reply = "451 4.3.1 Too much mail at once, try again later"


class Permanent(MailError):  # noqa: N818 - the mail server's own word
    """Refused by policy; trying again does not help."""

    reply = "550 5.7.1 Refused"


class UserError(IngestdError):
    """Something a person can put right. Printed as one line, never as a traceback."""

    exit_code = 64  # EX_USAGE


class InputError(UserError):
    """The input cannot be used."""

    exit_code = 65  # EX_DATAERR


class UnavailableError(UserError):
    """A service that is needed is not there."""

    exit_code = 69  # EX_UNAVAILABLE


class ConfigError(UserError):
    """The configuration or the schema does not fit."""

    exit_code = 78  # EX_CONFIG
