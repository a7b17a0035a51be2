"""The service as shipped, under a real systemd: its start, its restrictions, its watchdog, its reload and its end."""

import asyncio
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from end_to_end import database
from end_to_end.peer import Peer
from mails import mail, patch

from ingestd.postgres import Postgres
from ingestd.postgres.directory import socket_directory
from systemd.booted import PROGRAM, Systemd

ROOT = Path(__file__).resolve().parent.parent.parent
UNIT = "ingestd.service"
COMEBACK = 60.0  # seconds

# All that differs from the units as shipped: this checkout in the place of an installed ingestd.
CHECKOUT = f"""\
[Service]
ExecStart=
ExecStart={sys.executable} -m ingestd serve
WorkingDirectory=/
Environment=PYTHONPATH={ROOT} PYTHONDONTWRITEBYTECODE=1
StandardOutput=append:/run/service.log
StandardError=inherit
"""
# What the restrictions hide of it: homes, and directories for temporary files.
PLACES = (ROOT, Path(sys.base_prefix))
HOMES = [path for path in PLACES if path.is_relative_to("/home") or path.is_relative_to("/root")]
TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - nothing is made there
HIDDEN = [*HOMES, *(path for path in PLACES if any(map(path.is_relative_to, TEMPORARY)))]
if HOMES:
    CHECKOUT += "ProtectHome=tmpfs\n"
if HIDDEN:
    CHECKOUT += f"BindReadOnlyPaths={' '.join(map(str, HIDDEN))}\n"


@pytest.fixture
def booted(tmp_path: Path) -> Iterator[Systemd]:
    """A systemd with our units."""
    if not PROGRAM.exists() or shutil.which("nsenter") is None:
        pytest.skip("needs systemd")
    if os.geteuid() != 0:
        pytest.skip("needs root, to make namespaces")
    systemd = Systemd(tmp_path)
    try:
        systemd.install(*(ROOT / "systemd").iterdir())
        systemd.change(UNIT, CHECKOUT)
        yield systemd
    finally:
        systemd.stop()


def _address(booted: Systemd, name: str = "lmtp") -> str:
    return str(booted.root / f"run/ingestd/{name}.sock")


def _wait_for(condition: Callable[[], bool], booted: Systemd) -> None:
    deadline = time.monotonic() + COMEBACK
    while not condition():
        assert time.monotonic() < deadline, booted.log()
        time.sleep(0.1)


def test_the_service_takes_mail_under_its_restrictions(booted: Systemd) -> None:
    booted.systemctl("start", "ingestd.socket", UNIT)  # returns after READY=1
    assert booted.show(UNIT, "ActiveState") == "active"
    assert "lmtp 127.0.0.1:8024, lmtp /run/ingestd/lmtp.sock" in booted.show(UNIT, "StatusText")
    pid = booted.pid(UNIT)
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    for name, value in (("CapBnd", "0" * 16), ("CapEff", "0" * 16), ("NoNewPrivs", "1"), ("Seccomp", "2")):
        assert re.search(rf"^{name}:\t{value}$", status, re.MULTILINE), status
    assert not re.search(r"^Uid:\t0\t", status, re.MULTILINE)
    with Peer(_address(booted)) as peer:
        long = mail("long@x", "A long one", "x" * 70 + "\n" * 2 + "y" * 70 + "\n" + ("z" * 70 + "\n") * 30_000)
        for written in (patch("one@x", "[PATCH] one"), long):
            assert peer.send(written)[0].startswith("250"), booted.log()
        # The embedded PostgreSQL is there, and nothing of it was refused.
        assert "EPERM" not in booted.log()
        booted.systemctl("reload", UNIT)
        _wait_for(lambda: "reloaded" in booted.log(), booted)
        assert booted.pid(UNIT) == pid
        booted.systemctl("restart", UNIT)
        assert peer.reply().startswith("421 4.3.2")
    assert booted.pid(UNIT) != pid
    with Peer(_address(booted)) as peer:
        assert peer.send(patch("one@x", "[PATCH] one"))[0].startswith("250"), booted.log()
    booted.systemctl("stop", UNIT)
    assert (booted.show(UNIT, "Result"), booted.show(UNIT, "NRestarts")) == ("success", "0")
    # The sockets stay, and the next mail starts it again.
    with Peer(_address(booted)) as peer:
        assert peer.send(patch("two@x", "[PATCH] two"))[0].startswith("250")


@pytest.fixture
def server(data_directory: Path) -> Iterator[Postgres]:
    """A database server of the machine, which anybody may use."""
    server = Postgres(data_directory, settings={"unix_socket_permissions": "0777"})
    asyncio.run(server.start())
    socket_directory(data_directory).chmod(0o755)
    yield server
    asyncio.run(server.stop())


def test_two_instances_share_a_database_and_restart_one_by_one(
    booted: Systemd, server: Postgres, data_directory: Path
) -> None:
    # Beside the checkout only the way to the database differs: here it lies where nobody else may look.
    booted.change("ingestd@.service", f"{CHECKOUT}BindPaths={socket_directory(data_directory)}:/run/postgresql\n")
    url = server.url.replace(str(socket_directory(data_directory)), "/run/postgresql")
    (booted.root / "etc/ingestd/database_url").write_text(f"{url}\n", encoding="ascii")
    units = [f"ingestd@{number}.service" for number in (1, 2)]
    booted.systemctl("start", "ingestd@1.socket", "ingestd@2.socket", *units)
    pids = [booted.pid(unit) for unit in units]
    for number in (1, 2):
        with Peer(_address(booted, f"lmtp-{number}")) as peer:
            assert peer.send(patch(f"{number}@x", f"[PATCH] {number}"))[0].startswith("250"), booted.log()
    with Peer(_address(booted, "lmtp-2")) as peer:
        booted.systemctl("restart", units[0])
        assert peer.send(patch("meanwhile@x", "[PATCH] Meanwhile"))[0].startswith("250"), booted.log()
    assert booted.pid(units[0]) != pids[0]
    assert booted.pid(units[1]) == pids[1]
    rows = database.select(server.url, "SELECT message_id FROM ingestd_v1.message ORDER BY message_id")
    assert [row["message_id"] for row in rows] == ["1@x", "2@x", "meanwhile@x"]
    booted.systemctl("stop", *units)
    assert [booted.show(unit, "Result") for unit in units] == ["success", "success"]


# Asks again and again until it is told to stop; prints how often that went well.
READER = """
import json, pathlib, urllib.request
count = 0
while not pathlib.Path("/run/stop").exists():
    with urllib.request.urlopen("http://127.0.0.1:8080/api/1.3/patches/", timeout=60) as answer:
        assert [one["name"] for one in json.load(answer)] == ["one"]
    count += 1
print(count)
"""


def test_the_api_answers_under_its_restrictions_and_refuses_nobody_while_it_restarts(
    booted: Systemd, server: Postgres, data_directory: Path
) -> None:
    bound = f"BindPaths={socket_directory(data_directory)}:/run/postgresql\n"
    unit = "ingestd-api.service"
    booted.change(UNIT, f"[Service]\n{bound}")
    booted.change(unit, f"{CHECKOUT.replace('ingestd serve', 'ingestd api')}{bound}")
    url = server.url.replace(str(socket_directory(data_directory)), "/run/postgresql")
    (booted.root / "etc/ingestd/database_url").write_text(f"{url}\n", encoding="ascii")
    booted.systemctl("start", "ingestd.socket", "ingestd-api.socket", UNIT, unit)
    assert booted.show(unit, "StatusText") == "serving http 127.0.0.1:8080"
    with Peer(_address(booted)) as peer:
        assert peer.send(patch("one@x", "[PATCH] one"))[0].startswith("250"), booted.log()
    reader = booted.begin(sys.executable, "-c", READER)
    pids = set()
    for _ in range(3):
        pids.add(booted.pid(unit))
        time.sleep(1)
        booted.systemctl("restart", unit)
    (booted.root / "run/stop").touch()
    out, _ = reader.communicate(timeout=COMEBACK)
    assert reader.returncode == 0, f"{out.decode()}\n{booted.log()}"
    assert int(out) > 3
    assert len(pids) == 3
    assert "EPERM" not in booted.log()
    assert (booted.show(unit, "Result"), booted.show(unit, "NRestarts")) == ("success", "0")
    booted.change(unit, "[Service]\nWatchdogSec=2\nRestartSec=0\n")
    booted.systemctl("restart", unit)
    time.sleep(3)
    assert booted.show(unit, "NRestarts") == "0"
    os.kill(booted.pid(unit), signal.SIGSTOP)
    _wait_for(lambda: booted.show(unit, "NRestarts") == "1", booted)


def test_the_watchdog_ends_what_hangs_but_not_what_waits_for_the_database(booted: Systemd) -> None:
    booted.change(UNIT, "[Service]\nWatchdogSec=2\nRestartSec=0\n")
    booted.change(UNIT, "[Service]\nEnvironment=INGESTD__DATABASE__TIMEOUT=1\n")
    booted.systemctl("start", "ingestd.socket", UNIT)
    pid = booted.pid(UNIT)
    server = int(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()[0])
    processes = [server, *map(int, Path(f"/proc/{server}/task/{server}/children").read_text(encoding="ascii").split())]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    with Peer(_address(booted)) as peer:
        began = time.monotonic()
        while time.monotonic() < began + 6:
            assert peer.send(mail("waiting@x", "x"))[0].startswith("451 4.3.0")
        for process in processes:
            os.kill(process, signal.SIGCONT)
        _wait_for(lambda: peer.send(mail("waiting@x", "x"))[0].startswith("250"), booted)
    assert booted.pid(UNIT) == pid
    os.kill(pid, signal.SIGSTOP)
    _wait_for(lambda: booted.show(UNIT, "NRestarts") == "1", booted)
    _wait_for(lambda: booted.show(UNIT, "ActiveState") == "active", booted)
    with Peer(_address(booted)) as peer:
        assert peer.send(mail("waiting@x", "x"))[0].startswith("250")


def test_a_configuration_that_only_a_person_can_mend_is_not_tried_again(booted: Systemd) -> None:
    (booted.root / "etc/ingestd/database_url").write_text("mysql://nobody@nowhere/x\n", encoding="ascii")
    assert booted.run("systemctl", "start", UNIT).returncode != 0
    assert (booted.show(UNIT, "ExecMainStatus"), booted.show(UNIT, "ActiveState")) == ("78", "failed")
    assert booted.show(UNIT, "NRestarts") == "0"
