"""ingestd with another parser, to be run instead of it: some mails read otherwise. Nothing in the program leads here.

$REPARSE_PAUSE is how long a reparse rests with each mail, in seconds; with it, its batches are small.
"""

import os
import sys
import time
from zlib import crc32

from ingestd import cli, ingest, reparse
from ingestd.mail import Mail
from ingestd.mail.parse import parse
from ingestd.store import walk

PAUSE = float(os.environ.get("REPARSE_PAUSE", "0"))


def read_otherwise(raw: bytes) -> Mail:
    found = parse(raw)
    match crc32(found.message_id.encode()) % 7:
        case 0:
            return found._replace(subject=found.subject._replace(name="Renamed", title="Renamed"))
        case 1:
            return found._replace(references=(), in_reply_to=())
        case 2:
            return found._replace(message_id=f"other-{found.message_id}")
    return found


def read_slowly(raw: bytes) -> Mail:
    time.sleep(PAUSE)
    return read_otherwise(raw)


ingest.parse = read_otherwise  # type: ignore[attr-defined]
reparse.parse = read_slowly  # type: ignore[attr-defined]
if PAUSE:
    walk.MOST_MAILS = walk.WHOLE = 5
if __name__ == "__main__":
    sys.argv[0] = "ingestd"
    cli.main()
