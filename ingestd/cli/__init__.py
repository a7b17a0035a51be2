"""Every command: parse the arguments, call one function, turn errors into exit codes.

Each module adds its commands to the group in `command`.
"""

from ingestd.cli import archive, mails, people, quarantine, service, settings, upkeep
from ingestd.cli.command import ingestd, main

__all__ = ["archive", "ingestd", "mails", "main", "people", "quarantine", "service", "settings", "upkeep"]
