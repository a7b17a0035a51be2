"""The wheel, installed into an empty environment away from the checkout, does the whole job."""

import json
import os
import shutil
import smtplib
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from scratch import open_directory

ROOT = Path(__file__).resolve().parent.parent.parent
MAIL = b"""From: Ann Author <ann@example.org>
Subject: [PATCH] frob: add a knob
Date: Mon, 2 Nov 2026 10:00:00 +0000
Message-ID: <wheel@example.org>
List-Id: <demo.example.org>

Turn it.

Signed-off-by: Ann Author <ann@example.org>
---
 knob | 1 +
 1 file changed, 1 insertion(+)
 create mode 100644 knob

diff --git a/knob b/knob
new file mode 100644
index 0000000..d95f3ad
--- /dev/null
+++ b/knob
@@ -0,0 +1 @@
+content
"""

pytestmark = pytest.mark.long


def uv(*arguments: str | Path) -> None:
    """Run uv: the one that `./dev` put beside Python, else the one on PATH."""
    program = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert program is not None, "there is no uv; ./dev installs one"
    subprocess.run([program, *arguments], check=True, cwd=ROOT)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source archive, so that both are complete."""
    place = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--out-dir", place)
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def program(wheel: Path) -> Iterator[Path]:
    """`ingestd` of the wheel, with all extras, in an environment where nothing else is."""
    with open_directory() as directory:
        uv("venv", "--quiet", "--no-project", "--python", sys.executable, directory / "venv")
        uv("pip", "install", "--quiet", "--python", directory / "venv/bin/python", f"{wheel}[all]")
        yield directory / "venv/bin/ingestd"


def run(program: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the root directory, where nothing of the checkout is."""
    variables = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **environment}
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, cwd="/", env=variables, check=False, timeout=60
    )


def test_holds_what_it_should(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "ingestd/py.typed" in names
    versions = [path.name for path in (ROOT / "migrations/versions").glob("*.py")]
    assert {name.rpartition("/")[2] for name in names if name.startswith("ingestd/_migrations/versions/")} == {
        *versions
    }
    assert {name.partition("/")[0] for name in names} == {"ingestd", f"{wheel.name.split('-py3')[0]}.dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_tells_its_version(program: Path, wheel: Path) -> None:
    result = run(program, "--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split()[-1] == wheel.name.split("-")[1]


def test_migrates(program: Path, empty_database_url: str) -> None:
    for _ in range(2):
        result = run(program, "migrate", INGESTD_DATABASE_URL=empty_database_url)
        assert result.returncode == 0, result.stderr
    result = run(program, "status", "--json", INGESTD_DATABASE_URL=empty_database_url)
    assert result.returncode == 0, result.stderr


def test_takes_a_mail_into_its_own_database(program: Path, data_directory: Path, tmp_path: Path) -> None:
    daemon = DaemonProcess(
        tmp_path, data_directory=data_directory, environment={"PYTHONPATH": ""}, command=[str(program)]
    )
    try:
        daemon.start()
        with smtplib.LMTP(*daemon.lmtp) as client:
            assert client.sendmail("ann@example.org", ["demo@example.org"], MAIL) == {}
        dump = [json.loads(line) for line in daemon.run("dump").stdout.splitlines()]
        assert [(line["type"], line["key"], line["name"]) for line in dump] == [
            ("message", "wheel@example.org", "frob: add a knob"),
            ("series", "wheel@example.org", "frob: add a knob"),
        ]
        assert daemon.terminate() == 0, daemon.read_log()
    finally:
        daemon.kill()
