"""A process that runs an embedded PostgreSQL as the daemon does, to be killed."""

import subprocess
import sys
from pathlib import Path
from typing import Self

PROGRAM = """
import asyncio, sys
from pathlib import Path
from ingestd.postgres import Postgres

async def run():
    server = Postgres(Path(sys.argv[1]))
    await server.start()
    print("server", server.pid, flush=True)
    await server.supervise()

asyncio.run(run())
"""


class Owner:
    """The process; `server` is the pid of its PostgreSQL once `ready` has returned."""

    def __init__(self, directory: Path) -> None:
        self.server = 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(directory)], stdout=subprocess.PIPE, text=True
        )

    def ready(self) -> Self:
        assert self.process.stdout is not None
        for line in self.process.stdout:  # log lines come before it
            if line.startswith("server "):
                self.server = int(line.split()[1])
                return self
        raise AssertionError("the owner ended before its server was ready")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
