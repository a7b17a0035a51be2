"""What the tests of the embedded PostgreSQL share."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scratch import open_directory
from server_owner import Owner

from ingestd.postgres import Postgres


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """A directory with a cluster, made once and stopped, to be copied."""
    with open_directory() as directory:
        server = Postgres(directory)
        asyncio.run(server.start())
        asyncio.run(server.stop())
        yield directory


@pytest.fixture
def made_directory(data_directory: Path, cluster: Path) -> Path:
    """A directory as `data_directory` gives, with a cluster in it."""
    subprocess.run(["cp", "-a", f"{cluster}/.", data_directory], check=True)
    return data_directory


@pytest.fixture
def own() -> Iterator[Callable[[Path], Owner]]:
    """Start an owner of a directory; killed when the test ends."""
    owners: list[Owner] = []

    def start(directory: Path) -> Owner:
        owners.append(Owner(directory))
        return owners[-1]

    yield start
    for owner in owners:
        owner.kill()
