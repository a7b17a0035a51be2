"""Terminals for programs that show more on one."""

import os

import pytest


def open_terminal() -> tuple[int, int]:
    """Both ends of a terminal, the program's last. A container may have none."""
    try:
        return os.openpty()
    except OSError as error:
        pytest.skip(f"no terminal to be had: {error}")
