"""ingestd with bugs, to be run instead of it: some mails make it fail. Nothing in the program itself leads here.

`X-Fault: parser`: the parser raises. `X-Fault: unforeseen`: what takes the mail raises, where nothing should.
"""

import sys

from ingestd import cli, ingest, reception
from ingestd.mail import Mail
from ingestd.mail.parse import parse

real_take = reception.Reception.take


def fail_to_parse(raw: bytes) -> Mail:
    if b"X-Fault: parser" in raw:
        # Text that no database column can hold, as an error that quotes a mail may have it.
        raise ValueError("the parser's own fault \0 \ud800 \x1b[31m")
    return parse(raw)


async def fail_to_take(self: reception.Reception, raw: bytes, **facts: object) -> str:
    if b"X-Fault: unforeseen" in raw:
        raise ZeroDivisionError("a secret of ours")
    return await real_take(self, raw, **facts)  # type: ignore[arg-type]


ingest.parse = fail_to_parse  # type: ignore[attr-defined]
reception.Reception.take = fail_to_take  # type: ignore[method-assign]
if __name__ == "__main__":
    sys.argv[0] = "ingestd"
    cli.main()
