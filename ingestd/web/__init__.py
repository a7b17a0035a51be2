"""The HTTP service: Patchwork's REST API over what the store has, mboxes, threads as public-inbox serves them."""

from ingestd.web.app import Settings, make
from ingestd.web.server import Server

__all__ = ["Server", "Settings", "make"]
