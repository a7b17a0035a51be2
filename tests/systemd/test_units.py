"""The units in systemd/: explained, valid, and closed as far as the daemon's work allows."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).resolve().parent.parent.parent / "systemd").iterdir())
SERVICES = [path for path in UNITS if path.suffix == ".service"]
WORST = 1.5  # of the exposure that systemd-analyze finds: 0 is none, 10 is all

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


def _analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_there_is_a_comment_above_each_line(unit: Path) -> None:
    lines = unit.read_text(encoding="utf-8").splitlines()
    for above, line in zip(["", *lines], lines, strict=False):
        if re.match(r"#?[A-Z][A-Za-z]*=", line):
            assert re.match(r"# [^=]*[^ ].*[.,:]?$", above), line
            assert not re.match(r"#?[A-Z][A-Za-z]*=", above), line


def test_every_unit_is_there() -> None:
    assert [path.name for path in UNITS] == [
        "ingestd-api.service",
        "ingestd-api.socket",
        "ingestd.service",
        "ingestd.socket",
        "ingestd@.service",
        "ingestd@.socket",
    ]


# Directives in which an instance, and the API, may differ from the daemon: the restrictions are not among them.
INSTANCE = [
    "Description",
    "CacheDirectory",
    "Environment",
    "Also",
    "ListenStream",
    "ReusePort",
    "SetCredential",
    "StateDirectory(Mode)?",
]
API = [
    *(
        "Description",
        "After",
        "Also",
        "FileDescriptorName",
        "ListenStream",
        "SocketMode",
        "Backlog",
        "NotifyAccess",
        "ExecStart",
    ),
    *("ExecReload", "RestartPreventExitStatus", "Timeout(Start|Stop)Sec", "KillMode", "OOMPolicy", "SetCredential"),
    *("(State|Cache)Directory(Mode)?", "Environment"),
]


@pytest.mark.parametrize(
    ("name", "daemon", "directives"),
    [
        ("ingestd@.service", "ingestd.service", INSTANCE),
        ("ingestd@.socket", "ingestd.socket", INSTANCE),
        ("ingestd-api.service", "ingestd.service", API),
        ("ingestd-api.socket", "ingestd.socket", API),
    ],
)
def test_a_unit_differs_from_the_daemon_only_where_it_must(name: str, daemon: str, directives: list[str]) -> None:
    own, shared = (set((UNITS[0].parent / file).read_text(encoding="utf-8").splitlines()) for file in (name, daemon))
    allowed = f"#.*|({'|'.join(directives)})=.*"
    assert [line for line in own ^ shared if not re.fullmatch(allowed, line)] == []


@needs_analyze
@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.name)
def test_exposure(unit: Path) -> None:
    result = _analyze("security", "--offline=yes", unit)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", result.stdout)
    assert found is not None, result.stderr
    assert float(found[1]) <= WORST, result.stdout


@needs_analyze
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_understands_each_line(unit: Path, tmp_path: Path) -> None:
    """But for the program, which need not be installed here."""
    for other in UNITS:
        text = other.read_text(encoding="utf-8").replace("/usr/bin/ingestd", "/bin/true")
        (tmp_path / other.name).write_text(text, encoding="utf-8")
    result = _analyze("verify", "--recursive-errors=no", "--man=no", tmp_path / unit.name)
    assert (result.returncode, result.stderr) == (0, "")
