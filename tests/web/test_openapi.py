"""The document says what the server does."""

import asyncio
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from mails import patch, reply, series

from ingestd.web import openapi
from ingestd.web.endpoints import ENDPOINTS
from ingestd.web.fields import VERSIONS
from web.conftest import Site

SCHEMATHESIS = "schemathesis==4.32.5"
LIST = "demo.example.org"
STEM = "20261102100000.1"
CHECKS = ",".join((
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"),
    "response_headers_conformance",
))  # fmt: skip


def test_every_endpoint_is_in_the_document() -> None:
    assert {endpoint.path for endpoint in ENDPOINTS} - set(openapi.ABOUT) == {"/openapi.json"}
    assert set(openapi.ABOUT) <= {endpoint.path for endpoint in ENDPOINTS}


def test_what_a_version_has_stays_in_the_next() -> None:
    for older, newer in pairwise(VERSIONS):
        before, after = openapi.document(older), openapi.document(newer)
        assert set(before["paths"]) <= set(after["paths"])
        for name, schema in before["components"]["schemas"].items():
            keys = list(schema["properties"])
            assert [key for key in after["components"]["schemas"][name]["properties"] if key in keys] == keys


@pytest.fixture(scope="session")
def schemathesis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its program, in an environment of its own."""
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        pytest.skip(f"needs {uv}")
    directory = tmp_path_factory.mktemp("schemathesis") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True, capture_output=True)
    install = [str(uv), "pip", "install", "--quiet", "--python", str(directory / "bin/python"), SCHEMATHESIS]
    done = subprocess.run(install, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot install {SCHEMATHESIS}: {done.stderr.decode()[-300:]}")
    return directory / "bin/schemathesis"


async def fill(site: Site) -> str:
    """Some of everything; a token of who maintains it."""
    review = reply("review@example.com", f"{STEM}-1-ann@example.org", "x", "Reviewed-by: Rob <rob@example.com>\n")
    about = reply("about@example.com", f"{STEM}-0-ann@example.org", "x", "Fine.\n")
    await site.store.put(*series(STEM, 3), review, about, patch("lone@example.net", "[PATCH] one", file="lone.c"))
    token = await site.user("mary", maintains=LIST)
    for number in range(1, 4):
        key = f"{STEM}-{number}-ann@example.org"
        one = await site.get(f"/api/patches/{key}/")
        check = {"state": "success", "context": "build"}
        assert (await site.ask(f"/api/patches/{one['id']}/checks/", "POST", token=token, data=check)).status == 201
    await site.ask("/api/bundles/", "POST", token=token, data={"name": "b", "patches": [one["id"]], "public": True})
    await site.ask(f"/api/patches/{one['id']}/", "PATCH", token=token, data={"state": "accepted", "delegate": 1})
    return token


async def run(
    program: Path, site: Site, version: str, token: str | None, examples: int, phases: str, folder: Path
) -> int:
    """Try a version, as somebody or nobody; how many requests that were. Fails with what it found."""
    command = [
        *(str(program), "run", f"{site.url}/api/{version}/openapi.json", "--checks", CHECKS, "--workers", "1"),
        *("--max-examples", str(examples), "--phases", phases, "--continue-on-failure"),
        *("--suppress-health-check", "all", "--no-color", "--seed", "1", "--warnings", "off"),
        *(() if token is None else ("--header", f"Authorization: Token {token}")),
    ]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False, cwd=folder)
    out = done.stdout.decode()
    assert done.returncode == 0, out[-8000:] + done.stderr.decode()[-2000:]
    found = re.search(r"(\d+) generated", out)
    assert found is not None, out[-2000:]
    return int(found[1])


async def test_schemathesis_finds_nothing(site: Site, schemathesis: Path, tmp_path: Path) -> None:
    await fill(site)
    assert await run(schemathesis, site, "1.3", None, 6, "fuzzing", tmp_path) > 200


@pytest.mark.long
async def test_schemathesis_finds_nothing_in_20_000_requests(site: Site, schemathesis: Path, tmp_path: Path) -> None:
    token = await fill(site)
    total = 0
    for version in ("1.0", "1.1", "1.2", "1.3", "1.4"):
        for who in (token, None):
            total += await run(schemathesis, site, version, who, 40, "examples,coverage,fuzzing", tmp_path)
    assert total >= 20_000
