"""Regular expressions that every Python understands alike.

CPython before 3.11.5, Debian 12's among them, goes on at the wrong place behind a possessive group whose last round has
failed after a part of it (gh-106052). That can't happen where a round fails at its first characters only.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, TypeAlias

import pytest

import ingestd

Parsed: TypeAlias = Any  # `re` has no types for its own parser
_ONE_CHARACTER = {ops.LITERAL, ops.NOT_LITERAL, ops.IN, ops.ANY}
_REPEATS = {ops.POSSESSIVE_REPEAT, ops.MAX_REPEAT}


# All that is compiled while our modules are imported.
COMPILED = """
import importlib, json, pkgutil, re
found = []
compiled = re._compile
re._compile = lambda pattern, flags: found.append((pattern, int(flags))) or compiled(pattern, flags)
import ingestd
for module in pkgutil.walk_packages(ingestd.__path__, "ingestd."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
found = [(one.decode("latin-1") if isinstance(one, bytes) else one, flags) for one, flags in found]
print(json.dumps([(one, flags) for one, flags in found if isinstance(one, str)]))
"""


def _compiled() -> set[tuple[str, int]]:
    """Patterns and flags: of what is compiled with our modules, and of what stands in a call of `re`'s functions."""
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, check=True, text=True)
    found = {(pattern, flags) for pattern, flags in json.loads(done.stdout)}
    for source in Path(ingestd.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re.") and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.add((first.value, 0))
    return found


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
    """Does a round of this fail at its first characters only? What follows are repeats that may be empty."""
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
    found = _compiled()
    assert len(found) > 250
    assert {text: told for text, flags in found if (told := list(_unsure(parser.parse(text, flags))))} == {}
