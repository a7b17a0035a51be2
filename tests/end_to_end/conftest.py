"""A daemon that many tests share, each with a mailing list of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import pytest
from daemon_process import DaemonProcess

from end_to_end import database

LISTS = 120


@dataclass(frozen=True)
class MailingList:
    """A list of the resident daemon that no other test uses."""

    id: str
    address: str
    daemon: DaemonProcess
    url: str  # of the database

    def select(self, query: str) -> list[database.Row]:
        """Rows of a query in which $1 stands for the list's id."""
        return database.select(self.url, query, self.id)

    def dump(self) -> bytes:
        """What `ingestd dump` says of the list."""
        result = self.daemon.run("dump", "--list", self.id)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def export(self, message_id: str, *options: str) -> bytes:
        """What `ingestd export` writes."""
        result = self.daemon.run("export", "--list", self.id, *options, message_id)
        assert (result.returncode, result.stderr) == (0, b"")
        return result.stdout


@pytest.fixture(scope="session")
def resident(
    server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[DaemonProcess, str]]:
    """One daemon for the whole run, with many lists, and its database's URL."""
    config = "".join(
        f'[[lists]]\nid = "l{number}.example.org"\nrecipients = ["l{number}@example.org"]\n' for number in range(LISTS)
    )
    with database.fresh(server_url, template) as url:
        daemon = DaemonProcess(tmp_path_factory.mktemp("resident"), database_url=url, config=config)
        daemon.start()
        yield daemon, url
        assert daemon.terminate() == 0, daemon.read_log()
        assert "Traceback" not in daemon.read_log()


@pytest.fixture(scope="session")
def list_numbers() -> Iterator[int]:
    """Numbers of lists that were not given out yet."""
    return count()


@pytest.fixture
def mailing_list(resident: tuple[DaemonProcess, str], list_numbers: Iterator[int]) -> MailingList:
    """An empty list of the resident daemon."""
    number = next(list_numbers)
    assert number < LISTS, "the resident daemon needs more lists"
    daemon, url = resident
    return MailingList(f"l{number}.example.org", f"l{number}@example.org", daemon, url)
