"""Regular expressions that every Python understands alike.

CPython before 3.11.5, Debian 12's among them, goes on at the wrong place behind a possessive group whose last round has
failed after a part of it (gh-106052). That can't happen where a round fails at its first characters only.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, TypeAlias

import pytest

import ingestd

Parsed: TypeAlias = Any  # `re` has no types for its own parser
_ONE_CHARACTER = {ops.LITERAL, ops.NOT_LITERAL, ops.IN, ops.ANY}
_REPEATS = {ops.POSSESSIVE_REPEAT, ops.MAX_REPEAT}


def _patterns() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    for module in pkgutil.walk_packages(ingestd.__path__, "ingestd."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            for found in value if isinstance(value, tuple | list) else (value,):
                if isinstance(found, re.Pattern):
                    yield f"{module.name}.{name}", found


def _unsure(parsed: Parsed) -> Iterator[str]:
    """The possessive groups in a parsed pattern that may match too much."""
    for op, argument in parsed:
        if op is ops.ATOMIC_GROUP or (op is ops.POSSESSIVE_REPEAT and not _fails_at_once(argument[2])):
            yield str(argument)
        for part in argument if isinstance(argument, tuple | list) else (argument,):
            for inner in part if isinstance(part, list) else (part,):
                if isinstance(inner, parser.SubPattern):
                    yield from _unsure(inner)


def _fails_at_once(body: Parsed) -> bool:
    """Does a round of this fail at its first characters only? What follows may be any number of some, also none."""
    first = True
    for op, argument in body:
        if op in _ONE_CHARACTER and first:
            continue
        first = False
        if op not in _REPEATS or argument[0] > 0 or not all(inner in _ONE_CHARACTER for inner, _ in argument[2]):
            return False
    return True


@pytest.mark.parametrize(
    "pattern", ["(?:a|bc)*+", "(?>a+)", "(?:a(b))?+", "(?:(?!ab)c)*+", "(?:a+b)*+", "x(?:y(?:zz+)++)"]
)
def test_an_unsure_pattern_is_told(pattern: str) -> None:
    assert list(_unsure(parser.parse(pattern)))


def test_no_possessive_group_of_ours_is_unsure() -> None:
    found = dict(_patterns())
    assert len(found) > 100
    assert {
        name: told
        for name, pattern in found.items()
        if (told := list(_unsure(parser.parse(pattern.pattern, pattern.flags))))
    } == {}
