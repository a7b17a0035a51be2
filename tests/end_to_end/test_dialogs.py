"""The dialogs of tests/receive that any listener must hold, with the real daemon."""

from collections.abc import Iterator

import pytest
from daemon_process import DaemonProcess
from receive import dialog

from end_to_end import database

CONFIG = """
[[lists]]
id = "lists.test"
recipients = ["*@lists.test"]
"""

# Those for a listener with limits or a failing sink of its own are played in tests/receive.
PLAIN = [script for script in map(dialog.read, dialog.DIALOGS) if not script.limits and not script.sink]


@pytest.fixture(scope="module")
def daemon(
    server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[DaemonProcess, str]]:
    """A daemon for them all, and its database's URL."""
    with database.fresh(server_url, template) as url:
        daemon = DaemonProcess(tmp_path_factory.mktemp("dialogs"), database_url=url, config=CONFIG)
        daemon.start()
        yield daemon, url
        assert daemon.terminate() == 0, daemon.read_log()
        assert "Traceback" not in daemon.read_log()


@pytest.mark.parametrize("script", PLAIN, ids=[script.name for script in PLAIN])
def test_dialog(script: dialog.Dialog, daemon: tuple[DaemonProcess, str]) -> None:
    process, url = daemon
    before = _count(url)
    dialog.play(script, process.lmtp if script.protocol == "lmtp" else process.smtp)
    assert _count(url) - before == script.stored


def test_most_dialogs_are_plain() -> None:
    assert len(PLAIN) >= 25


def _count(url: str) -> int:
    """Distinct arrivals: a mail for several lists has a delivery on each."""
    (row,) = database.select(url, "SELECT count(DISTINCT (received_at, raw_sha256)) AS count FROM ingestd_v1.delivery")
    return int(row["count"])
