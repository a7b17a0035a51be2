"""The commands of one LMTP or SMTP connection (RFC 5321, RFC 2033) and the transaction they build up."""
# ruff: noqa: N802 - aiosmtpd finds commands by these names

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import structlog
from aiosmtpd.smtp import syntax

from ingestd import errors
from ingestd.receive import address, wire
from ingestd.receive.dots import Unstuffer
from ingestd.receive.limits import Access, Limits
from ingestd.receive.sink import Reception, Sink
from ingestd.receive.spool import Spool
from ingestd.receive.wire import Phase

log = structlog.get_logger()

ENDLESS = 4  # times max_size: so much we read of a mail that is too big, for the sake of a proper reply
TOO_BIG = "552 5.3.4 Mail too big"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_REPLY = re.compile(r"([45])\d\d \1\.\d{1,3}\.\d{1,3} [\x20-\x7e]+\Z")
# What a browser would say here if a web page made it; its request body could hold a whole LMTP dialog.
_HTTP = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_COMMON = ("DATA", "EXPN", "HELP", "MAIL", "NOOP", "QUIT", "RCPT", "RSET", "VRFY")
_VERBS = {"lmtp": ("LHLO", *_COMMON), "smtp": ("EHLO", "HELO", *_COMMON)}


@dataclass(slots=True)
class Transaction:
    """What MAIL and RCPT have said."""

    sender: str  # "" is the null sender
    utf8: bool
    local_delivery: bool  # XLIST was given: the caller decides where the mail goes
    list_id: str | None
    reception: Reception
    recipients: list[str] = field(default_factory=list)
    asked: int = 0  # RCPT commands, refused ones too


class Session(wire.Wire):
    """LMTP or SMTP as RFC 5321 and RFC 2033 have it; aiosmtpd dispatches `smtp_VERB` by name.

    Nothing that goes wrong on our side is ever answered 5xx.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        protocol: Literal["lmtp", "smtp"],
        hostname: str,
        limits: Limits,
        access: Access,
        loop: asyncio.AbstractEventLoop,
        ended: Callable[[wire.Wire], None],
    ) -> None:
        """`ended` is called once, when the connection is gone and its work done."""
        self._transaction: Transaction | None = None
        self._protocol = protocol
        self._access = access
        super().__init__(hostname=hostname, limits=limits, loop=loop, ended=ended)
        self._sink = sink
        self._greeted = False
        self._served = False  # a mail came to its end
        self._errors = 0
        self._junk = 0

    def __dir__(self) -> list[str]:
        """Return the commands of the protocol only.

        aiosmtpd goes through dir() for them at each connection, and through all else that a session has.
        """
        more = () if self._access.tls is None else ("STARTTLS",)
        return [f"smtp_{verb}" for verb in (*_VERBS[self._protocol], *more)]

    @property
    def under_way(self) -> bool:
        """A connection's first mail, and any transaction: who connected before we shut down is not sent away."""
        return not self._served or self._transaction is not None

    async def serve(self) -> None:
        """Greet, and obey commands until the end."""
        if not self._access.allows(self.peer):
            log.warning("connection_refused", peer=self.peer, outcome="554")
            self.say("554 5.7.1 Access denied")
            return
        self.say(f"220 {self.hostname} {'LMTP' if self._protocol == 'lmtp' else 'ESMTP'} ingestd")
        while not self._closing:
            if self._dismissed and not self.under_way:
                self.dismiss()
                return
            try:
                line = await self.next_line()
                await self._obey(line)
            except wire.BadLine as bad:
                self._refuse(str(bad))

    async def _obey(self, line: bytes) -> None:
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise wire.BadLine("500 5.5.2 Commands are UTF-8") from None
        verb, _, argument = text.partition(" ")
        verb = verb.upper()
        if verb in _HTTP:
            log.warning("peer_dropped", peer=self.peer, error="HTTP request")
            self.say("421 4.7.0 This is no HTTP server")
            self.hang_up()
        elif _CONTROL.search(text) or not verb:
            self._refuse("500 5.5.2 Bad syntax")
        elif method := self._smtp_methods.get(verb):
            try:
                await method(argument.rstrip(" "))
            except wire.Gone:
                raise
            except Exception as error:
                if self.phase is not Phase.COMMAND:  # within a mail, and nobody knows where it ends
                    raise
                self._set_rset_state()
                self.say("451 4.3.0 " + self.log_fault("command_failed", error, command=verb))
        else:
            self._refuse("500 5.5.1 Unknown command")

    def _refuse(self, reply: str) -> None:
        """Answer a command that cannot be obeyed; too many of them end the connection."""
        self.say(reply)
        self._errors += 1
        if self._errors >= self.limits.max_errors:
            self._drop("too many errors")

    def _count_junk(self) -> None:
        """Count a command that brings no mail nearer; too many of them end the connection."""
        self._junk += 1
        if self._junk > self.limits.max_junk:
            self._drop("too many idle commands")

    def _drop(self, why: str) -> None:
        log.warning("peer_dropped", peer=self.peer, error=why)
        self.say(f"421 4.7.0 {why.capitalize()}")
        self.hang_up()

    def _set_rset_state(self) -> None:
        self._transaction = None

    # Greeting.

    @syntax("LHLO hostname")
    async def smtp_LHLO(self, arg: str) -> None:
        """Announce exactly what works (RFC 2033 4.1 wants PIPELINING and ENHANCEDSTATUSCODES)."""
        extensions = [
            "PIPELINING",
            f"SIZE {self.limits.max_size}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
        ]
        if self._access.tls is not None and not self.secure and not self.peer.startswith("unix:"):
            extensions.append("STARTTLS")
        if self._knows_xlist():
            extensions.append("XLIST")
        if self._greet(arg):
            lines = [self.hostname, *extensions]
            self.say(*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}")

    @syntax("STARTTLS")
    async def smtp_STARTTLS(self, arg: str) -> None:
        """Go on encrypted, as if nothing had been said (RFC 3207 section 4.2)."""
        if arg:
            self._refuse("501 5.5.4 STARTTLS takes no argument")
        elif self.secure or self._access.tls is None or self.peer.startswith("unix:"):
            self._refuse("503 5.5.1 No STARTTLS here")
        elif self.has_more():
            # Somebody between us and the peer may have put it there, to be read as if it came encrypted.
            log.warning("peer_dropped", peer=self.peer, error="commands sent along with STARTTLS")
            self.say("421 4.7.0 Wait for the reply to STARTTLS")
            self.hang_up()
        else:
            await self.start_tls(self._access.tls)
            self._set_rset_state()
            self._greeted = False

    @syntax("EHLO hostname")
    async def smtp_EHLO(self, arg: str) -> None:
        """The same for SMTP."""
        await self.smtp_LHLO(arg)

    @syntax("HELO hostname")
    async def smtp_HELO(self, arg: str) -> None:
        """Greet without extensions; who uses them all the same is understood."""
        if self._greet(arg):
            self.say(f"250 {self.hostname}")

    def _greet(self, arg: str) -> bool:
        self._count_junk()
        if not arg:
            self._refuse("501 5.5.4 Give your hostname")
            return False
        self._set_rset_state()
        self._greeted = True
        return True

    def _knows_xlist(self) -> bool:
        """Whether the peer may say where its mail goes: only on this machine, and only by LMTP.

        XLIST is an extension of our own, for `ingestd deliver`. `MAIL FROM:<...> XLIST=demo.example.org` (xtext,
        RFC 3461 4) puts the mail into that list; XLIST alone leaves it to the mail's List-Id. No recipient is
        refused then.
        """
        return self.local and self._protocol == "lmtp"

    # The transaction.

    @syntax("MAIL FROM:<address>", extended=" [parameters]")
    async def smtp_MAIL(self, arg: str) -> None:
        """Begin a transaction."""
        if not self._greeted:
            self._refuse(f"503 5.5.1 {'LHLO' if self._protocol == 'lmtp' else 'EHLO'} first")
            return
        if self._transaction is not None:
            self._refuse("503 5.5.1 A transaction is under way")
            return
        found = self._parse("FROM:", arg, "501 5.1.7 Syntax: MAIL FROM:<address>")
        if found is None:
            return
        sender, parameters = found
        refusal = self._check_parameters(parameters)
        size = int(parameters.get("SIZE") or 0) if not refusal else 0
        if refusal:
            self._refuse(refusal)
        elif not sender.isascii() and "SMTPUTF8" not in parameters:
            self._refuse("553 5.6.7 Address needs SMTPUTF8")
        elif size > self.limits.max_size:
            self._count_junk()
            log.info("mail_refused", peer=self.peer, bytes=size, outcome=TOO_BIG)
            self.say(TOO_BIG)
        else:
            list_id = parameters.get("XLIST")
            self._transaction = Transaction(
                sender=sender,
                utf8="SMTPUTF8" in parameters,
                local_delivery="XLIST" in parameters,
                list_id=address.decode_xtext(list_id) if list_id else None,
                reception=self._sink.begin(),
            )
            self.say("250 2.1.0 Ok")

    def _parse(self, keyword: str, arg: str, refusal: str) -> tuple[str, dict[str, str | None]] | None:
        """Parse `FROM:<address> parameters`; refuse what is wrong and return None."""
        path = address.parse_path(arg[len(keyword) :]) if arg.upper().startswith(keyword) else None
        if path is None:
            self._refuse(refusal)
            return None
        if len(path[0].encode()) > address.MAX_PATH:
            self._refuse(f"{refusal[:9]} Path too long")
            return None
        parameters = address.parse_parameters(path[1])
        if parameters is None:
            self._refuse("501 5.5.4 Bad parameters")
            return None
        return path[0], parameters

    def _check_parameters(self, parameters: dict[str, str | None]) -> str | None:
        """Return the reply to parameters of MAIL that we don't take, or None."""
        known = {"BODY", "SIZE", "SMTPUTF8", "XLIST"} if self._knows_xlist() else {"BODY", "SIZE", "SMTPUTF8"}
        size, list_id = parameters.get("SIZE", "0"), parameters.get("XLIST")
        if parameters.keys() - known:
            return "555 5.5.4 Unknown parameter"
        if (parameters.get("BODY", "7BIT") or "").upper() not in ("7BIT", "8BITMIME"):
            return "501 5.5.4 BODY is 7BIT or 8BITMIME"
        if not size or not re.fullmatch("[0-9]{1,20}", size):
            return "501 5.5.4 SIZE is a number"
        if parameters.get("SMTPUTF8") is not None:
            return "501 5.5.4 SMTPUTF8 takes no value"
        if list_id is not None and not address.decode_xtext(list_id):
            return "501 5.5.4 XLIST is a list id in xtext"
        return None

    @syntax("RCPT TO:<address>")
    async def smtp_RCPT(self, arg: str) -> None:
        """Add a recipient, if it is ours."""
        transaction = self._transaction
        if transaction is None:
            self._refuse("503 5.5.1 MAIL first")
            return
        found = self._parse("TO:", arg, "501 5.1.3 Syntax: RCPT TO:<address>")
        if found is None:
            return
        recipient, parameters = found
        if parameters:
            self._refuse("555 5.5.4 Unknown parameter")
        elif not recipient:
            self._refuse("501 5.1.3 Nobody is no recipient")
        elif not recipient.isascii() and not transaction.utf8:
            self._refuse("553 5.6.7 Address needs SMTPUTF8")
        elif transaction.asked >= self.limits.max_recipients:
            self._count_junk()
            self.say("452 4.5.3 Too many recipients")
        else:
            transaction.asked += 1
            self.say(self._add_recipient(transaction, recipient))

    def _add_recipient(self, transaction: Transaction, recipient: str) -> str:
        try:
            known = transaction.local_delivery or transaction.reception.accepts(recipient)
        except Exception as error:  # noqa: BLE001 - the other recipients don't suffer from it
            return "451 4.3.0 " + self.log_fault("recipient_failed", error)
        if not known:
            log.info("recipient_refused", peer=self.peer, recipient=recipient)
            return "550 5.1.1 Unknown recipient"
        transaction.recipients.append(recipient)
        return "250 2.1.5 Ok"

    @syntax("DATA")
    async def smtp_DATA(self, arg: str) -> None:
        """Take a mail: one reply for each recipient in LMTP (RFC 2033 4.2), a single one in SMTP."""
        transaction = self._transaction
        if arg:
            self._refuse("501 5.5.4 DATA takes no argument")
            return
        if transaction is None or not transaction.recipients:
            self._refuse("503 5.5.1 No recipients")
            return
        outcome: str | None = None  # the reply to the mail, once it is known
        begun = False
        self._reset_timeout()
        await self.flush()  # the wait for room may be long; the replies to MAIL and RCPT need not share it
        self._stop_timeout()
        self.phase = Phase.ROOM
        try:
            async with self._sink.room():
                begun = True
                outcome = await self._take(transaction)
        except wire.Gone:
            raise
        except Exception as error:
            if outcome is not None:  # leaving the room failed, which is nothing to the mail
                self.log_fault("room_failed", error)
            elif begun:
                raise
            else:
                outcome = self._reply_to(error, transaction)
        finally:
            self._set_rset_state()
        if self._closing:
            log.info("peer_left", peer=self.peer, phase=self.phase.value, outcome=outcome)
        self.phase = Phase.COMMAND
        self._errors = self._junk = 0
        self._served = True
        self._conclude(outcome, transaction if begun else None)

    def _conclude(self, outcome: str, transaction: Transaction | None) -> None:
        """Say what became of a mail; `transaction` is None when its DATA was not begun."""
        each = transaction is not None and self._protocol == "lmtp"
        self.say(*[outcome] * (len(transaction.recipients) if transaction and each else 1))

    async def _take(self, transaction: Transaction) -> str:
        """Receive a mail to its final dot and hand it over. Returns the reply to it."""
        limits = self.limits
        unstuffer = Unstuffer()
        refusal: str | None = None
        received = 0
        self.phase = Phase.DATA
        self.say("354 End with CR LF . CR LF")
        self._reset_timeout(limits.data_timeout)
        await self.flush()
        with Spool(memory=limits.memory, directory=limits.spool) as spool:
            while unstuffer.rest is None:
                chunk = await self.next_chunk()
                self._extend_timeout(len(chunk))
                piece = unstuffer.feed(chunk)
                received += len(piece)
                if refusal is None:
                    refusal = self._keep(piece, spool)
                if received > ENDLESS * limits.max_size:
                    self._conclude(TOO_BIG, transaction)
                    self.hang_up()
                    raise wire.Gone("mail without end")
            self._stop_timeout()
            self.put_back(unstuffer.rest)
            if refusal is None:
                return await self._commit(spool, transaction)
        log.info("mail_refused", peer=self.peer, bytes=received, outcome=refusal)
        return refusal

    def _extend_timeout(self, count: int) -> None:
        """Let bytes buy time: a peer that dribbles is cut off, a slow one is not."""
        now, limits = self.loop.time(), self.limits
        deadline = now if self._deadline is None else self._deadline
        self._expect_until(min(now + limits.data_timeout, deadline + count / limits.min_rate))

    def _keep(self, piece: bytes, spool: Spool) -> str | None:
        """Spool a piece; returns the reply when that cannot be, and the rest of the mail is to be dropped."""
        if spool.size + len(piece) > self.limits.max_size:
            spool.clear()
            return TOO_BIG
        try:
            spool.write(piece)
        except OSError as error:
            spool.clear()
            return "451 4.3.0 " + self.log_fault("spool_failed", error)
        return None

    async def _commit(self, spool: Spool, transaction: Transaction) -> str:
        """Hand a whole mail over. Returns 250 only when the sink has returned."""
        self.phase = Phase.COMMIT
        try:
            async with self._sink.hold(spool.size):
                raw = spool.read()
                spool.clear()
                name = await transaction.reception.take(
                    raw,
                    envelope_from=transaction.sender,
                    recipients=tuple(transaction.recipients),
                    peer=self.peer,
                    list_id=transaction.list_id,
                    origin=self._protocol,
                )
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return self._reply_to(error, transaction)  # the sink gave up, we did not
        except Exception as error:  # noqa: BLE001 - logged, or meant for the peer
            return self._reply_to(error, transaction)
        # The mail server writes this into its log, beside its own name for the mail.
        return f"250 2.0.0 Stored as {name}" if name else "250 2.0.0 Stored"

    def _reply_to(self, error: BaseException, transaction: Transaction) -> str:
        """Return the public reply to a failure: the sink's own, else 451."""
        count = len(transaction.recipients)
        if isinstance(error, errors.MailError) and _REPLY.match(error.reply):
            log.info("mail_refused", peer=self.peer, recipients=count, outcome=error.reply, error=str(error))
            return error.reply
        return "451 4.3.0 " + self.log_fault("mail_failed", error, recipients=count)

    # The rest.

    @syntax("RSET")
    async def smtp_RSET(self, arg: str) -> None:
        """Forget the transaction."""
        self._count_junk()
        if arg:
            self._refuse("501 5.5.4 RSET takes no argument")
            return
        self._set_rset_state()
        self.say("250 2.0.0 Ok")

    @syntax("NOOP [text]")
    async def smtp_NOOP(self, arg: str) -> None:  # noqa: ARG002 - RFC 5321 4.1.1.9 allows and ignores it
        """Do nothing."""
        self._count_junk()
        self.say("250 2.0.0 Ok")

    @syntax("QUIT")
    async def smtp_QUIT(self, arg: str) -> None:
        """Say good-bye."""
        if arg:
            self._refuse("501 5.5.4 QUIT takes no argument")
            return
        self.say("221 2.0.0 Bye")
        self.hang_up()

    @syntax("VRFY <address>")
    async def smtp_VRFY(self, arg: str) -> None:
        """Tell nothing (RFC 5321 7.3)."""
        self._count_junk()
        if not arg:
            self._refuse("501 5.5.4 VRFY whom?")
            return
        self.say("252 2.5.2 Send mail and see")

    async def smtp_EXPN(self, arg: str) -> None:  # noqa: ARG002
        """Tell nothing."""
        self._refuse("502 5.5.1 Not implemented")

    @syntax("HELP [command]")
    async def smtp_HELP(self, arg: str) -> None:
        """Tell what there is."""
        self._count_junk()
        method = self._smtp_methods.get(arg.upper())
        if method and self._syntax_available(method):
            self.say(f"214 2.0.0 Syntax: {method.__smtp_syntax__}")
        else:
            verbs = sorted(verb for verb, known in self._smtp_methods.items() if self._syntax_available(known))
            self.say(f"214 2.0.0 Commands: {' '.join(verbs)}")
