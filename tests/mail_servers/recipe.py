"""The configuration that docs/mail-servers.md shows, taken out of it: what is tested is what is written there."""

import re
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent.parent / "docs/mail-servers.md"
_FILE = re.compile(r"^`(?P<path>[^`\n]+)`:\n\n```\w*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def files(section: str) -> dict[str, str]:
    """The files of one section of the page, by the path that stands above each."""
    found = {match["path"]: match["text"] for match in _FILE.finditer(_section(section))}
    assert found, f"{PAGE.name}: no files below {section}"
    return found


def command(section: str, part: str) -> str:
    """The command of one section, an indented line, that has this in it."""
    (found,) = [line for line in _section(section).splitlines() if line.startswith("    ") and part in line]
    return found.strip()


def _section(wanted: str) -> str:
    for part in re.split(r"^##+ ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        if heading == wanted:
            return body
    raise AssertionError(f"{PAGE.name}: no section {wanted}")


def adapt(text: str, changes: Mapping[str, str]) -> str:
    """The text with what a test cannot have as it is: each of the `changes` must be needed."""
    for old, new in changes.items():
        assert old in text, f"{PAGE.name}: {old} is not there any more"
        text = text.replace(old, new)
    return text
