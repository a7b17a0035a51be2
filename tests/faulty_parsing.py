"""The process that parses, with bugs: `X-Fault: crash` ends it, `X-Fault: hang` keeps it for ever."""

import os
import signal
import time

from ingestd import ingest
from ingestd.mail import Mail
from ingestd.mail.parse import parse
from ingestd.sources import parsing


def fail(raw: bytes) -> Mail:
    if b"X-Fault: crash" in raw:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"X-Fault: hang" in raw:
        time.sleep(3600)
    return parse(raw)


ingest.parse = fail  # type: ignore[attr-defined]
if __name__ == "__main__":
    parsing.main()
