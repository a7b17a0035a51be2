"""The configuration: one typed struct with its defaults, from a TOML file, the environment and systemd credentials."""

import contextlib
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote

import msgspec
from msgspec import Meta, Struct, inspect

from ingestd.errors import ConfigError

PREFIX = "INGESTD__"
DEFAULT_PATH = Path("/etc/ingestd/config.toml")

Seconds = Annotated[float, Meta(gt=0, le=7 * 24 * 3600)]
Count = Annotated[int, Meta(ge=1)]
Address = Annotated[
    str,
    Meta(pattern=r"^$|^(\[[0-9a-fA-F:.]+\]|[^\[\]:\s]+):[0-9]{1,5}$", description="host:port, [v6]:port or nothing"),
]
Mode = Annotated[str, Meta(pattern=r"^0?[0-7]{3}$", description='octal digits such as "660"')]


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file. An unknown key is an error, so that a typing error cannot pass for a setting."""


class Database(Section, frozen=True):
    """Where the mail is kept."""

    url: str = ""
    read_url: str = ""
    migrate: Literal["auto", "check"] = "auto"
    timeout: Seconds = 30.0
    pool_size: Annotated[int, Meta(ge=2)] = 5  # a migration holds its lock on a connection of its own
    data_directory: str = ""
    bindir: str = ""


class Listen(Section, frozen=True):
    """One protocol's addresses."""

    address: Address = ""
    socket: str = ""
    socket_mode: Mode = "660"
    socket_group: str = ""
    networks: tuple[str, ...] = ()


class Lmtp(Listen, frozen=True):
    """LMTP: one reply per recipient. What a mail server should use."""

    address: Address = "127.0.0.1:8024"


class Smtp(Listen, frozen=True):
    """SMTP: for `git send-email` and mail servers that cannot speak LMTP."""

    address: Address = "127.0.0.1:8025"


class Tls(Section, frozen=True):
    """What STARTTLS shows; not offered without."""

    certificate: str = ""
    key: str = ""


class Limits(Section, frozen=True):
    """How much is taken at once, and how long we wait."""

    message_size: Annotated[int, Meta(ge=64 * 1024)] = 50 * 1024 * 1024
    recipients: Annotated[int, Meta(ge=100)] = 1000  # RFC 5321 section 4.5.3.1.8: at least 100
    connections: Count = 500
    idle_timeout: Seconds = 300.0
    data_timeout: Seconds = 180.0
    queue_mails: Count = 1000
    queue_bytes: Annotated[int, Meta(ge=1024 * 1024)] = 256 * 1024 * 1024
    queue_wait: Seconds = 30.0
    drain: Seconds = 30.0


class Mail(Section, frozen=True):
    """What is taken."""

    unknown_list: Literal["keep", "refuse"] = "keep"
    authserv_ids: tuple[str, ...] = ()


class Series(Section, frozen=True):
    """What is said of series."""

    stalled_after: Annotated[float, Meta(ge=0, le=366 * 24 * 3600)] = 24 * 3600.0


class Log(Section, frozen=True):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"


class Metrics(Section, frozen=True):
    """Where monitoring asks."""

    address: Address = ""


class Api(Section, frozen=True):
    """The HTTP API."""

    address: Address = "127.0.0.1:8080"
    read: Literal["open", "closed"] = "open"
    url: Annotated[str, Meta(pattern=r"^$|^https?://[^/\s]+/?$", description="http(s)://host[:port] or nothing")] = ""
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    insecure_writes: bool = False
    body_size: Annotated[int, Meta(ge=64 * 1024)] = 1024 * 1024
    connections: Count = 500
    rate: Annotated[float, Meta(gt=0, le=1_000_000)] = 50.0


class List(Section, frozen=True):
    """A mailing list."""

    id: Annotated[str, Meta(min_length=1)]
    name: str = ""
    link_name: str = ""
    address: str = ""
    recipients: tuple[str, ...] = ()
    former_ids: tuple[str, ...] = ()


class Config(Section, frozen=True):
    """Everything, with its defaults."""

    hostname: str = "localhost"
    database: Database = Database()
    lmtp: Lmtp = Lmtp()
    smtp: Smtp = Smtp()
    tls: Tls = Tls()
    limits: Limits = Limits()
    mail: Mail = Mail()
    series: Series = Series()
    log: Log = Log()
    metrics: Metrics = Metrics()
    api: Api = Api()
    lists: tuple[List, ...] = ()


def find(path: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The file to read: `path`, else $INGESTD_CONFIG, else /etc/ingestd/config.toml where there is one."""
    if path is not None:
        return path
    if environment.get("INGESTD_CONFIG"):
        return Path(environment["INGESTD_CONFIG"])
    return DEFAULT_PATH if DEFAULT_PATH.exists() else None


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """Read the configuration. ConfigError, one line with file, key and what is allowed, when it cannot be used."""
    environment = os.environ if environment is None else environment
    found = find(path, environment)
    tree = {} if found is None else _read(found)
    config = _convert(tree, str(found))
    for variable in sorted(environment):
        if variable.startswith(PREFIX):
            tree, config = _overlay(tree, variable, environment[variable])
    url = _database_url(environment)
    if url is not None:
        config = msgspec.structs.replace(config, database=msgspec.structs.replace(config.database, url=url))
    _check(config, str(found) if found is not None else "configuration")
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error


def _convert(tree: Mapping[str, Any], source: str) -> Config:
    try:
        return msgspec.convert(tree, Config, strict=True)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at ")
        key = where.strip("`").removeprefix("$").removeprefix(".")
        raise ConfigError(f"{source}: {_say(problem, key)}") from error


def _say(problem: str, key: str) -> str:
    """What is wrong at `key` in msgspec's words, and what is allowed there where these don't say it."""
    kind: inspect.Type = inspect.type_info(Config)
    description = ""
    for part in filter(None, key.split(".")):
        name, bracket, _ = part.partition("[")
        if isinstance(kind, inspect.StructType):
            kind = next(field.type for field in kind.fields if field.encode_name == name)
        if bracket and isinstance(kind, inspect.VarTupleType):
            kind = kind.item_type
        if isinstance(kind, inspect.Metadata):
            description = (kind.extra_json_schema or {}).get("description", "")
            kind = kind.type
    unknown = re.fullmatch("Object contains unknown field `(.*)`", problem)
    if unknown is not None and isinstance(kind, inspect.StructType):
        name = f"{key}.{unknown[1]}" if key else unknown[1]
        return f"{name}: no such key, there are {', '.join(field.encode_name for field in kind.fields)}"
    if isinstance(kind, inspect.LiteralType):
        return f"{key}: expected one of {', '.join(map(str, kind.values))}"
    if description:
        return f"{key}: expected {description}"
    return f"{key}: {problem}" if key else problem


def _overlay(tree: dict[str, Any], variable: str, value: str) -> tuple[dict[str, Any], Config]:
    """`tree` with INGESTD__SECTION__KEY=value in it, and what it says then.

    The value is read as TOML; where that does not fit (a path or a password that looks like a number) as text.
    """
    names = tuple(name.lower() for name in variable.removeprefix(PREFIX).split("__"))
    as_text = _set(tree, names, value, variable)
    try:
        parsed = _set(tree, names, tomllib.loads(f"value = {value}")["value"], variable)
    except tomllib.TOMLDecodeError:
        return as_text, _convert(as_text, variable)
    try:
        return parsed, _convert(parsed, variable)
    except ConfigError:
        with contextlib.suppress(ConfigError):
            return as_text, _convert(as_text, variable)
        raise


def _set(tree: Mapping[str, Any], names: tuple[str, ...], value: Any, variable: str) -> dict[str, Any]:  # noqa: ANN401
    """A copy of `tree` with `value` at the path `names`."""
    head, *rest = names
    if not rest:
        return {**tree, head: value}
    below = tree.get(head, {})
    if not isinstance(below, dict):
        raise ConfigError(f"{variable}: {head} is not a section")
    return {**tree, head: _set(below, tuple(rest), value, variable)}


def _database_url(environment: Mapping[str, str]) -> str | None:
    """The URL from where secrets live: the environment, else systemd's credentials."""
    if environment.get("INGESTD_DATABASE_URL"):
        return environment["INGESTD_DATABASE_URL"]
    directory = environment.get("CREDENTIALS_DIRECTORY")
    if directory:
        path = Path(directory, "database_url")
        try:
            return path.read_text(encoding="utf-8").strip() or None  # our unit's default is an empty one
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from error
    return None


def _check(config: Config, source: str) -> None:
    """What types cannot say."""
    for name, section in (
        ("lmtp", config.lmtp),
        ("smtp", config.smtp),
        ("metrics", config.metrics),
        ("api", config.api),
    ):
        port = section.address.rpartition(":")[2]
        if section.address and int(port) > 65535:
            raise ConfigError(f"{source}: {name}.address: port {port} is not between 0 and 65535")
    for name, listen in (("lmtp", config.lmtp), ("smtp", config.smtp)):
        for network in listen.networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ConfigError(f"{source}: {name}.networks: expected such as 192.0.2.0/24: {error}") from error
    if bool(config.tls.certificate) != bool(config.tls.key):
        raise ConfigError(f"{source}: tls: needs both certificate and key")
    if not any(section.address or section.socket for section in (config.lmtp, config.smtp)):
        raise ConfigError(f"{source}: lmtp, smtp: no address or socket to listen on")
    _check_places(config, source)
    seen: dict[str, str] = {}
    for list_ in config.lists:
        for id_ in (list_.id, *list_.former_ids):
            if id_.lower() in seen:
                raise ConfigError(f"{source}: lists: {id_} is given twice")
            seen[id_.lower()] = list_.id
    names = [list_.link_name for list_ in config.lists if list_.link_name]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{source}: lists: link_name {name} is given twice")
    if config.limits.queue_bytes < config.limits.message_size:
        raise ConfigError(
            f"{source}: limits.queue_bytes: must be at least limits.message_size ({config.limits.message_size})"
        )


def _check_places(config: Config, source: str) -> None:
    """Where the database is, and where HTTP is answered."""
    for key in ("url", "read_url"):
        url = getattr(config.database, key)
        if url and not re.match(r"postgres(ql)?://", url):
            raise ConfigError(f"{source}: database.{key}: expected postgresql://...")
    if not config.api.address:
        raise ConfigError(f"{source}: api.address: expected host:port")


def split_address(address: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` -> (host, port)."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


MASK = "(hidden)"


def show(config: Config) -> dict[str, Any]:
    """The resolved configuration as plain values, secrets masked."""
    tree: dict[str, Any] = msgspec.to_builtins(config)
    for key in ("url", "read_url"):
        tree["database"][key] = mask_url(getattr(config.database, key))
    return tree


def mask_url(url: str) -> str:
    """A database URL as it may be shown to people: without passwords."""
    head, mark, tail = url.partition("://")
    # A password may have any character, though it should not: all up to the last @ may be one.
    credentials, at, rest = tail.rpartition("@")
    if ":" in credentials:
        credentials = f"{credentials.partition(':')[0]}:{MASK}"
    elif at:
        credentials, at, rest = "", "", tail
    rest, question, query = rest.partition("?")
    parts = [
        f"{name}={MASK}" if unquote(name).lower() in {"password", "sslpassword"} else part
        for part in query.split("&")
        for name in [part.partition("=")[0]]
    ]
    return f"{head}{mark}{credentials}{at}{rest}{question}{'&'.join(parts)}"
