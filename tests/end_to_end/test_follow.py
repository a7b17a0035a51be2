"""The event log as programs read it: nothing is missed, nothing comes twice, whatever becomes of connections."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from daemon_process import DaemonProcess
from mails import patch, series

from end_to_end import database
from end_to_end.peer import deliver

FIRST = series("20261102100000.1", 2, title="First")
CURSORS = "SELECT cursor FROM ingestd_v1.event ORDER BY cursor"
CUT = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

StartDaemon = Callable[..., DaemonProcess]


def _follow(daemon: DaemonProcess, *options: str) -> list[dict[str, Any]]:
    result = daemon.run("follow", "--no-wait", *options)
    assert (result.returncode, result.stderr) == (0, b"")
    return [json.loads(line) for line in result.stdout.splitlines()]


@contextmanager
def _follower(daemon: DaemonProcess, *options: str) -> Iterator[IO[bytes]]:
    """The output of a running `follow`."""
    with subprocess.Popen(
        [*daemon.command, "follow", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=daemon.directory,
        env=daemon.environment,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.kill()


def _cursors(url: str) -> list[int]:
    return [row["cursor"] for row in database.select(url, CURSORS)]


def test_the_log_is_the_view(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url)
    deliver(daemon.lmtp, [*FIRST, patch("other@example.org", "[PATCH] Other", list_id="other.example.org")])
    lines = _follow(daemon)
    rows = database.select(database_url, "SELECT * FROM ingestd_v1.event ORDER BY cursor")
    assert [{**line, "at": None, "payload": None} for line in lines] == [
        {**row, "at": None, "payload": None} for row in rows
    ]
    assert {line["category"] for line in lines} >= {"message-created", "series-created", "series-completed"}
    assert _follow(daemon, "--after", str(lines[2]["cursor"])) == lines[3:]
    assert _follow(daemon, "--new") == []
    others = _follow(daemon, "--list", "other.example.org")
    assert others == [line for line in lines if line["list_id"] == "other.example.org"]
    assert others


def test_a_follower_hears_of_mail_whatever_becomes_of_its_connections(
    start_daemon: StartDaemon, database_url: str
) -> None:
    daemon = start_daemon(database_url=database_url)
    deliver(daemon.lmtp, FIRST[:1])
    with _follower(daemon) as output:
        seen = [json.loads(output.readline())["cursor"] for _ in _cursors(database_url)]
        for number in range(3):
            database.select(database_url, CUT)
            deliver(daemon.lmtp, [patch(f"p{number}@example.org", "[PATCH] One more", file=f"{number}.c")])
            while seen[-1] != _cursors(database_url)[-1]:
                seen.append(json.loads(output.readline())["cursor"])
    assert seen == _cursors(database_url)


def test_new_events_only(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url)
    deliver(daemon.lmtp, FIRST[:1])
    last = _cursors(database_url)[-1]
    with _follower(daemon, "--after", str(last)) as output:
        deliver(daemon.lmtp, FIRST[1:])
        assert json.loads(output.readline())["cursor"] == last + 1


def test_what_goes_not_together(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url)
    for options in (("--new", "--after", "1"), ("--after", "-1"), ("--after", "x")):
        result = daemon.run("follow", *options)
        assert result.returncode == 64
        assert len(result.stderr.splitlines()) == 1
