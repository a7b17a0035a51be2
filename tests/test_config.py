"""The configuration: where it comes from, what wins, what is refused and how that is said."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ingestd import config as configuration
from ingestd.errors import ConfigError

# Each file's first line says, as a comment, what we are to say of it.
BAD = sorted((Path(__file__).parent / "badconfigs").glob("*.toml"))


def _load(tmp_path: Path, text: str = "", **environment: str) -> configuration.Config:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return configuration.load(path, environment)


@pytest.mark.parametrize("path", BAD, ids=[path.stem for path in BAD])
def test_bad_file(path: Path) -> None:
    expected = path.read_bytes().splitlines()[0].decode().removeprefix("# ")
    with pytest.raises(ConfigError) as caught:
        configuration.load(path, {})
    assert str(caught.value) == f"{path}: {expected}"


def test_bad_files_are_many_and_each_key_is_known() -> None:
    assert len(BAD) >= 20


def test_a_bad_file_is_one_line_and_78_from_the_command() -> None:
    path = BAD[0]
    result = subprocess.run(
        [sys.executable, "-m", "ingestd", "--config", str(path), "config", "check"], capture_output=True, check=False
    )
    expected = path.read_bytes().splitlines()[0].decode().removeprefix("# ")
    assert (result.returncode, result.stdout) == (78, b"")
    assert result.stderr.decode() == f"ingestd: {path}: {expected}\n"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path}/none.toml: No such file")):
        configuration.load(tmp_path / "none.toml", {})


def test_a_directory_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path}: Is a directory")):
        configuration.load(tmp_path, {})


def test_defaults_without_anything(tmp_path: Path) -> None:
    assert _load(tmp_path) == configuration.Config()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    config = _load(
        tmp_path,
        "limits.connections = 5\n[lmtp]\naddress = '127.0.0.1:1'\nsocket = '/run/x'",
        INGESTD__LIMITS__CONNECTIONS="50",
        INGESTD__LMTP__ADDRESS="127.0.0.1:24",
        INGESTD__MAIL__UNKNOWN_LIST="refuse",
        INGESTD__LOG__LEVEL='"debug"',
        INGESTD__LIMITS__DRAIN="1.5",
    )
    assert (config.limits.connections, config.lmtp.address, config.lmtp.socket) == (50, "127.0.0.1:24", "/run/x")
    assert (config.mail.unknown_list, config.log.level, config.limits.drain) == ("refuse", "debug", 1.5)


def test_a_whole_number_of_seconds_is_fine(tmp_path: Path) -> None:
    assert _load(tmp_path, "limits.drain = 5").limits.drain == 5.0


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("INGESTD__LIMITS__CONNECTIONS", "many", "limits.connections: Expected `int`, got `str`"),
        ("INGESTD__LIMITS__CONNECTIONS", "0", "limits.connections: Expected `int` >= 1"),
        ("INGESTD__LIMITS__NONE", "1", "limits.none: no such key, there are message_size, "),
        ("INGESTD__NONE", "1", "none: no such key, there are hostname, database, "),
        ("INGESTD__HOSTNAME__X", "1", "hostname: Expected `str`, got `object`"),
    ],
)
def test_a_bad_variable_is_named(tmp_path: Path, variable: str, value: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, **{variable: value})
    assert str(caught.value).startswith(f"{variable}: {expected}")


@pytest.mark.parametrize("value", ["12345", "true", "1.5", "2026-11-02"])
def test_text_that_looks_like_something_else_stays_text(tmp_path: Path, value: str) -> None:
    """A hostname or a directory may look like a number."""
    assert _load(tmp_path, INGESTD__HOSTNAME=value).hostname == value


def test_the_databases_url(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "database_url").write_text("postgresql://from/credentials\n")
    file = "database.url = 'postgresql://from/file'"
    here = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert _load(tmp_path, file).database.url == "postgresql://from/file"
    assert _load(tmp_path, file, INGESTD__DATABASE__URL="postgresql://from/key").database.url == "postgresql://from/key"
    assert _load(tmp_path, file, **here).database.url == "postgresql://from/credentials"
    environment = here | {"INGESTD_DATABASE_URL": "postgresql://from/environment"}
    assert _load(tmp_path, file, **environment).database.url == "postgresql://from/environment"
    (credentials / "database_url").write_text("\n")  # the default of our unit
    assert _load(tmp_path, file, **here).database.url == "postgresql://from/file"
    (credentials / "database_url").unlink()
    assert _load(tmp_path, file, **here).database.url == "postgresql://from/file"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:s3cret@host/x",
        "postgresql://user:s3cret%40x@host:5432/x?sslmode=require",
        "postgresql://user@host/x?password=s3cret&sslmode=require",
        "postgresql://user@host/x?sslpassword=s3cret",
        "postgresql://:s3cret@/x?host=/run/p",
        "postgresql://user:p?s3cret@host/x",
        "postgresql://user:p#s3cret@host/x",
        "postgresql://user:p/s3cret@host/x",
        "postgresql://user:p?s3=cret@host/x",
        "postgresql://user:s3/cret?x=y@host/x",
        "postgresql://user@host/x?pass%77ord=s3cret",
    ],
)
def test_show_masks_secrets(tmp_path: Path, url: str) -> None:
    shown = json.dumps(configuration.show(_load(tmp_path, INGESTD_DATABASE_URL=url)))
    assert "s3cret" not in shown
    assert "(hidden)" in shown


def test_what_show_prints_can_be_read_again(tmp_path: Path) -> None:
    config = _load(tmp_path, '[[lists]]\nid = "a.example.org"\nrecipients = ["a@b"]', INGESTD__LIMITS__CONNECTIONS="7")
    assert configuration._convert(configuration.show(config), "shown") == config
