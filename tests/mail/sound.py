"""What PostgreSQL and the store take for granted of every mail that was read."""

from ingestd.mail.values import Mail


def strings(value: object) -> list[str]:
    """Every text in a value, however deep."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, tuple):
        return [text for one in value for text in strings(one)]
    slots = getattr(type(value), "__slots__", ())
    return [text for name in slots for text in strings(getattr(value, name))] if not isinstance(value, int) else []


def check(read: Mail) -> None:
    """Fail unless the value can be stored as it is."""
    for text in strings(read):
        assert "\0" not in text
        text.encode("utf-8")
    assert read.message_id
    assert len(read.content_key) == len(read.mail_sha256) == 64
    assert (read.diff is None) == (read.hash is None)
    assert read.date is None or read.date.tzinfo is not None
