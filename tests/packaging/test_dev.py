"""The launcher: it needs python3 and pip, says what is missing, and mends what an interruption left."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NEEDED = ("dev", "pyproject.toml", "uv.lock", "README.md", "LICENSE", "ingestd", "migrations")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the launcher needs, without an environment."""
    place = tmp_path / "check out"
    place.mkdir()
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, place / name)
    return place


def dev(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `./dev` with the Python that made our own environment, as a person would."""
    python = Path(sys.executable).resolve()
    variables = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return subprocess.run(
        [python, checkout / "dev", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**variables, **environment},
        timeout=300,
    )


def test_tells_its_commands(checkout: Path) -> None:
    result = dev(checkout, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "./dev test" in result.stdout
    wrong = dev(checkout, "tset")
    assert (wrong.returncode, wrong.stdout) == (64, "")
    assert not (checkout / ".venv").exists()


def test_says_that_pip_is_missing(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('No module named pip')\n", encoding="ascii")
    result = dev(checkout, "run", PYTHONPATH=str(tmp_path))
    assert result.returncode == 69
    assert result.stderr.splitlines()[-1] == "dev: needs pip 22.3 or newer (Debian: apt-get install python3-pip)"


def test_says_that_the_network_is_missing(checkout: Path) -> None:
    nowhere = "http://127.0.0.1:9/simple"
    result = dev(
        checkout, "run", PIP_INDEX_URL=nowhere, PIP_NO_CACHE_DIR="1", PIP_RETRIES="0", PIP_CONFIG_FILE=os.devnull
    )
    assert result.returncode == 69
    assert result.stderr.splitlines()[-1] == "dev: pip cannot install uv; is the network there?"
    assert "Traceback" not in result.stderr


@pytest.mark.long
def test_mends_an_interrupted_start_and_a_move(checkout: Path) -> None:
    """Killed ever later, with all that it started, until it gets through; then moved."""
    options = ["run", "--help"]
    python = Path(sys.executable).resolve()
    delay, ended = 0.1, False
    while not ended:
        process = subprocess.Popen(
            [python, checkout / "dev", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            assert process.wait(delay) == 0, "a later start did not mend it"
            ended = True
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        delay *= 1.3
    begun = time.monotonic()
    again = dev(checkout, *options)
    assert (again.returncode, again.stderr) == (0, "")
    assert time.monotonic() - begun < 5, "it was prepared again"
    moved = checkout.with_name("moved")
    checkout.rename(moved)
    result = dev(moved, *options)
    assert result.returncode == 0, result.stderr
    where = [str(moved / ".venv/bin/python"), "-c", "import ingestd; print(ingestd.__file__)"]
    found = subprocess.run(where, capture_output=True, text=True, check=True, cwd="/").stdout
    assert found.strip() == str(moved / "ingestd/__init__.py")
