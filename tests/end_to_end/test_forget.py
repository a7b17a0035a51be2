"""`ingestd forget` as people run it, beside the running daemon."""

from mails import series

from end_to_end.conftest import MailingList
from end_to_end.peer import deliver

MAILS = series("20261102100000.1", 2, title="First")
ONE = "20261102100000.1-1-ann@example.org"


def test_a_forgotten_mail_is_acknowledged_and_stays_away(mailing_list: MailingList) -> None:
    def send() -> None:
        deliver(mailing_list.daemon.lmtp, MAILS, [mailing_list.address])

    def forget(*arguments: str) -> tuple[int, str]:
        result = mailing_list.daemon.run("forget", "--list", mailing_list.id, *arguments)
        return result.returncode, result.stderr.decode()

    send()
    whole = mailing_list.dump()
    assert forget(ONE) == (64, "ingestd: forget needs a --reason\n")
    assert forget(ONE, "--reason", " ") == (64, "ingestd: forget needs a --reason\n")
    assert forget(ONE, "--reason", "x", "--undo") == (64, "ingestd: --undo goes without --reason\n")
    assert forget("x@y", "--reason", "x") == (65, f"ingestd: x@y: no such mail on {mailing_list.id}\n")
    assert mailing_list.dump() == whole
    assert forget(f"<{ONE}>", "--reason", "spam") == (0, "forgotten, on 1 list\n")
    without = mailing_list.dump()
    assert ONE.encode() not in without
    send()
    assert mailing_list.dump() == without
    assert mailing_list.select("SELECT reason, copies FROM ingestd_v1.tombstone WHERE list_id = $1") == [
        {"reason": "spam", "copies": 1}
    ]
    assert forget(ONE, "--undo") == (0, "may come in again, on 1 list\n")
    send()
    assert mailing_list.dump() == whole
