"""Which lists a mail belongs to, and whose word on its sender counts: what the operator has configured."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ingestd.errors import Permanent
from ingestd.mail import Mail

UNROUTED = "unrouted"  # the list of mail that belongs to none; a list like any other

# A List-Id that is longer is none (RFC 2919 section 3 allows 255 octets).
LONGEST_LIST_ID = 255


@dataclass(frozen=True, slots=True)
class ListRule:
    """A configured list: who writes to it, and what it was called before."""

    id: str
    recipients: tuple[str, ...] = ()  # addresses or patterns with *, compared without case
    former_ids: tuple[str, ...] = ()


class Router:
    """The policy: which lists a mail belongs to (architecture.md section 5), and whose word on its sender counts."""

    def __init__(
        self, rules: Sequence[ListRule] = (), *, refuse_unknown: bool = False, trusted: Sequence[str] = ()
    ) -> None:
        """`refuse_unknown`: mail of no configured list is refused, not kept as `unrouted`.

        `trusted`: the hosts whose Authentication-Results count, by authserv-id.
        """
        self.trusted = frozenset(id_.lower() for id_ in trusted)
        self._patterns = [(pattern.lower(), rule.id.lower()) for rule in rules for pattern in rule.recipients]
        self._ids = {id_.lower(): rule.id.lower() for rule in rules for id_ in (rule.id, *rule.former_ids)}
        self._refuse_unknown = refuse_unknown

    def lists_of(self, recipient: str) -> list[str]:
        """The lists that an envelope recipient stands for."""
        address = recipient.lower()
        return list(dict.fromkeys(list_id for pattern, list_id in self._patterns if fnmatchcase(address, pattern)))

    def accepts(self, recipient: str) -> bool:
        """Whether mail for `recipient` is taken: any, unless recipients are configured."""
        return not self._patterns or bool(self.lists_of(recipient))

    def route(self, mail: Mail, recipients: Sequence[str], list_id: str | None) -> dict[str, tuple[str, ...]]:
        """List id -> its recipients: by the word of the operator, else by recipient, else by List-Id, else unrouted.

        Permanent where policy refuses mail of no configured list.
        """
        if list_id is not None:
            return {self._ids.get(list_id.lower(), list_id.lower()): tuple(recipients)}
        by_list: dict[str, tuple[str, ...]] = {}
        for recipient in recipients:
            for found in self.lists_of(recipient):
                by_list[found] = (*by_list.get(found, ()), recipient)
        if by_list:
            return by_list
        named = None if mail.list_id is None else mail.list_id.lower()
        if named is not None and len(named.encode()) > LONGEST_LIST_ID:
            named = None
        if named is not None and (not self._ids or named in self._ids):
            return {self._ids.get(named, named): tuple(recipients)}
        if self._refuse_unknown:
            raise Permanent("mail of no configured list", reply="550 5.7.1 Not a mailing list of ours")
        return {UNROUTED: tuple(recipients)}
