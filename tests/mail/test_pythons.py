"""Mail is read alike by every Python: what the system has may be older than the one that runs the tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = Path("/usr/bin/python3")
SCRIPT = """
import hashlib
from mail.fuzzer import Fuzzer, made_up
from ingestd.mail.parse import parse
fuzzer = Fuzzer(7)
mails = [*made_up(), *map(fuzzer.mail, range(2_000))]
print(hashlib.sha256("".join(repr(parse(raw)) for raw in mails).encode()).hexdigest())
"""


def _digest(python: str | Path) -> str:
    """Of a few thousand mails as that Python reads them. Nothing but the standard library is needed for it."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([python, "-S", "-c", SCRIPT], env=environment, capture_output=True, check=True, text=True)
    return done.stdout.strip()


def test_the_systems_python_reads_mail_alike() -> None:
    if not PYTHON.exists():
        pytest.skip(f"there is no {PYTHON}")
    version = subprocess.run([PYTHON, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    if tuple(map(int, version.split(".")[:2])) < (3, 11):
        pytest.skip(f"{PYTHON} is {version}")
    assert _digest(PYTHON) == _digest(sys.executable)
