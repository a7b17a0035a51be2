"""The commands: a server as a process of its own, and the people who may write."""

import http.client
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from daemon_process import DaemonProcess, free_port
from end_to_end import database
from mails import patch
from systemd.listener import hold

LIST = "demo.example.org"
CONFIG = f"""
[[lists]]
id = "{LIST}"
name = "Demonstration"
link_name = "show"
address = "demo@example.org"
"""


def ask(port: int, path: str, method: str = "GET", token: str | None = None, data: object = None) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Token {token}"} if token else {})
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, None if data is None else json.dumps(data), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def wait(port: int) -> None:
    for _ in range(600):
        try:
            ask(port, "/api/1.3/states/")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("no answer")


@pytest.fixture
def api(daemon: DaemonProcess) -> Iterator[tuple[DaemonProcess, int]]:
    """A daemon, and beside it `ingestd api`, which is asked at the port."""
    port = free_port()
    daemon.environment |= {
        "INGESTD__API__ADDRESS": f"127.0.0.1:{port}",
        "INGESTD__DATABASE__READ_URL": daemon.environment["INGESTD_DATABASE_URL"],
    }
    with daemon.log.open("ab") as log:
        process = subprocess.Popen(
            [*daemon.command, "api"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=daemon.environment
        )
        wait(port)
        yield daemon, port
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, daemon.read_log()


def test_from_the_mail_to_the_accepted_patch(api: tuple[DaemonProcess, int]) -> None:
    daemon, port = api
    assert daemon.run("deliver", stdin=patch("p@example.org", "[PATCH] x")).returncode == 0

    def run(*arguments: str, stdin: bytes = b"") -> str:
        done = daemon.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done
        return done.stdout.decode()

    run("user", "create", "mary", "--email", "mary@example.org", "--first-name", "Mary", "--last-name", "M")
    run("maintainer", "add", "mary", LIST)
    token = run("token", "create", "mary", "--note", "laptop").strip()
    assert run("user", "list") == f"mary  Mary  M  mary@example.org  True  {LIST}\n"
    path = "/api/1.3/patches/p@example.org/"
    assert ask(port, path, "PATCH", token, {"state": "accepted"})[1]["state"] == "accepted"
    (event, *_) = ask(port, "/api/1.3/events/")[1]
    assert (event["category"], event["actor"]["username"]) == ("patch-state-changed", "mary")
    followed = daemon.run("follow", "--no-wait").stdout.decode().splitlines()
    assert json.loads(followed[-1])["actor"] == "mary"
    run("maintainer", "remove", "mary", LIST)
    assert ask(port, path, "PATCH", token, {"state": "new"})[0] == 403
    line = run("token", "list")
    assert "laptop" in line
    assert token not in line
    assert token.encode() not in daemon.run("dump").stdout
    run("token", "revoke", line.split()[0])
    assert ask(port, path, "GET", token) == (403, {"detail": "Invalid token."})
    run("user", "change", "mary", "--inactive", "--email", "m@example.org")
    assert run("user", "list") == "mary  Mary  M  m@example.org  False  \n"


def test_what_cannot_be_is_said(daemon: DaemonProcess) -> None:
    def fails(status: int, said: str, *arguments: str, stdin: bytes = b"") -> None:
        done = daemon.run(*arguments, stdin=stdin)
        assert (done.returncode, done.stderr.decode()) == (status, f"ingestd: {said}\n")

    assert daemon.run("user", "create", "mary").returncode == 0
    fails(65, "mary: there is such a user already", "user", "create", "mary")
    fails(64, "a password has at least 8 letters", "user", "create", "bob", "--password-stdin", stdin=b"short\n")
    fails(65, "bob: no such user", "token", "create", "bob")
    fails(65, "no.such: no such list", "maintainer", "add", "mary", "no.such")
    taken = daemon.environment | {"INGESTD__API__ADDRESS": f"127.0.0.1:{daemon.lmtp[1]}"}
    done = subprocess.run([*daemon.command, "api"], capture_output=True, env=taken, check=False, timeout=60)
    assert (done.returncode, b"(api): Address already in use" in done.stderr) == (69, True)


@pytest.mark.parametrize(
    ("name", "place", "said"),
    [
        ("lmtp", ("127.0.0.1", 0), "expected FileDescriptorName=api"),
        ("api", "api.sock", "expected a TCP address in ListenStream="),
    ],
)
def test_a_socket_of_systemd_that_is_none_for_it(
    tmp_path: Path, database_url: str, name: str, place: tuple[str, int] | str, said: str
) -> None:
    held = hold(str(tmp_path / place) if isinstance(place, str) else place)
    daemon = DaemonProcess(tmp_path, database_url=database_url, handed=[(name, held)], arguments=["api"])
    daemon.start(wait=False)
    assert daemon.wait() == 78
    assert f"ingestd: socket '{name}' of systemd: {said}" in daemon.read_log()
    held.close()


def test_the_daemon_answers_as_well(run_alone: Callable[..., DaemonProcess], database_url: str) -> None:
    port = free_port()
    daemon = run_alone(
        database_url=database_url,
        config=CONFIG,
        environment={"INGESTD__API__ADDRESS": f"127.0.0.1:{port}"},
        arguments=("serve", "--with-api"),
        monitored=True,
    )
    daemon.start()
    wait(port)
    assert f"listening on http 127.0.0.1:{port}" in daemon.read_log()
    (project,) = ask(port, "/api/1.3/projects/")[1]
    assert (project["link_name"], project["name"], project["list_email"]) == (
        "show",
        "Demonstration",
        "demo@example.org",
    )
    assert ask(port, "/api/1.3/nosuch/", "BREW")[0] == 404
    with closing(http.client.HTTPConnection(*daemon.metrics, timeout=60)) as connection:
        connection.request("GET", "/metrics")
        told = connection.getresponse().read().decode()
    assert 'ingestd_http_responses_total{method="other",status="404"} 1.0' in told
    assert daemon.terminate() == 0


def test_a_configured_link_name_goes_before_one_by_itself(
    start_daemon: Callable[..., DaemonProcess], database_url: str
) -> None:
    other = '\n[[lists]]\nid = "show.example.net"\n'
    start_daemon(database_url=database_url, config=other).terminate()
    start_daemon(database_url=database_url, config=CONFIG + other)
    found = database.select(database_url, "SELECT link_name FROM ingestd.project ORDER BY link_name")
    assert [row["link_name"] for row in found] == ["show", "show.example.net"]
