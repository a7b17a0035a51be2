"""Every dialog of tests/receive/dialogs, over a real socket."""

import asyncio
from pathlib import Path

import pytest
from receive import dialog
from receive.conftest import Start


@pytest.mark.parametrize("path", dialog.DIALOGS, ids=[path.stem for path in dialog.DIALOGS])
async def test_dialog(path: Path, start: Start) -> None:
    script = dialog.read(path)
    service = await start(script.protocol, failing=script.sink, **script.limits)
    await asyncio.to_thread(dialog.play, script, service.address)
    assert len(service.sink.mails) == script.stored


def test_there_are_dialogs() -> None:
    assert len(dialog.DIALOGS) >= 25
