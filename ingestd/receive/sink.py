"""What the listener asks of the rest: is there room, who is known, and take this mail."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Reception(Protocol):
    """Takes one mail. What `accepts` said holds until the mail is taken."""

    def accepts(self, recipient: str) -> bool:
        """Whether mail for this address is ours; else RCPT is answered 550 5.1.1.

        `recipient` is as the peer wrote it, without angle brackets, source route or needless quotes.
        It may lack a domain and may hold any UTF-8.
        """
        ...

    async def take(
        self, raw: bytes, *, envelope_from: str, recipients: Sequence[str], peer: str, list_id: str | None, origin: str
    ) -> str | None:
        """Return once the mail is committed, with the name that it has in our logs and rows, if it has one;
        raise `errors.MailError` to have its `reply` sent instead.

        `raw` is what the peer sent, less dot-stuffing. `envelope_from` is "" for the null sender.
        `recipients` are those accepted, in order, repeats too. `peer` is an IP address or `unix:uid=N`.
        `origin` is the protocol, lmtp or smtp. `list_id` is only given by a local `ingestd deliver --list`.
        """
        ...


class Sink(Protocol):
    """Where received mail goes. Any exception that is no `errors.MailError` is answered 451 and logged."""

    def begin(self) -> Reception:
        """What takes the mail of one transaction, from its MAIL command on."""
        ...

    def room(self) -> AbstractAsyncContextManager[None]:
        """Room for one mail: entered before the 354, left when the outcome is known.

        Entering may wait; the peer waits with it, and the wait is cancelled when the peer leaves.
        Entering raises `errors.Full` when it took too long.
        """
        ...

    def hold(self, size: int) -> AbstractAsyncContextManager[None]:
        """Memory for a mail of `size` octets: entered before its octets are read into memory for `take`.

        Entering raises `errors.Full` when it took too long.
        """
        ...
