"""Logs that cannot be written cost nothing."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import structlog
from ingestd import logs
logs.set_up("info", "json")
for _ in range(100):
    structlog.get_logger().info("mail_stored", message="x" * 1000)
print("went on", flush=True)
"""


def test_a_full_disk_below_the_log_raises_nothing() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=full, check=False)
    assert done.stdout == b"went on\n"
