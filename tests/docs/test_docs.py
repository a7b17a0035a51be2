"""The docs tell the truth: commands, options, configuration keys, defaults."""

import re
import tomllib
from pathlib import Path
from typing import Any

import click
import msgspec
from prometheus_client.metrics import MetricWrapperBase

from ingestd import config as configuration
from ingestd import metrics
from ingestd.cli import ingestd
from ingestd.config import Config
from ingestd.mail.identity import TRACE_HEADERS, TRACE_PREFIXES
from ingestd.service import LIVE

ROOT = Path(__file__).resolve().parent.parent.parent


def commands(group: click.Group, above: str = "") -> dict[str, click.Command]:
    """Every command by its full name."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= commands(command, f"{above}{name} ")
        else:
            found[above + name] = command
    return found


def test_every_command_and_option_is_in_the_docs_and_no_other() -> None:
    page = (ROOT / "docs/cli.md").read_text()
    sections = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        heading = re.match(r"[a-z ]+", section)
        assert heading is not None
        sections[heading[0].strip()] = section
    real = commands(ingestd)
    assert sorted(sections) == sorted(real)
    for name, command in real.items():
        listed = {
            option
            for line in re.findall(r"^- (`-.*)$", sections[name], flags=re.MULTILINE)
            for option in re.findall(r"`(--?[a-z-]+)", line)
        }
        options = {
            option
            for parameter in command.params
            if isinstance(parameter, click.Option)
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        assert listed == options - {"--help", "-h"}, name
        assert command.help, name


def test_commands_that_the_readme_names_exist() -> None:
    page = (ROOT / "README.md").read_text()
    real = commands(ingestd)
    for command in re.findall(r"ingestd (serve|dump|status|export|import|deliver)\b", page):
        assert command in real


def keys(struct: type[msgspec.Struct], above: str = "") -> dict[str, Any]:
    """Every configuration key with its default; the tables of lists apart."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        default = field.default
        if isinstance(default, msgspec.Struct):
            found |= keys(type(default), f"{above}{field.name}.")
        elif field.name != "lists":
            found[above + field.name] = default
    return found


def test_the_example_configuration_is_every_key_at_its_default() -> None:
    lines = (ROOT / "config.example.toml").read_text().split("#[[lists]]")[0].splitlines()
    tree = tomllib.loads("\n".join(re.sub(r"^#(?=[a-z_]+ = )", "", line) for line in lines))
    flat = {
        f"{section}.{key}" if isinstance(value, dict) else section: inner
        for section, value in tree.items()
        for key, inner in (value.items() if isinstance(value, dict) else [("", value)])
    }
    assert {key: tuple(value) if isinstance(value, list) else value for key, value in flat.items()} == keys(Config)


def test_the_example_list_shows_every_key_and_can_be_read() -> None:
    block = (ROOT / "config.example.toml").read_text().partition("#[[lists]]")[2]
    tree = tomllib.loads("[[lists]]" + re.sub(r"^#", "", block, flags=re.MULTILINE))
    assert list(tree["lists"][0]) == [field.name for field in msgspec.structs.fields(configuration.List)]
    msgspec.convert(tree, Config)


def test_the_example_configuration_can_be_loaded_as_it_is() -> None:
    assert configuration.load(ROOT / "config.example.toml", {}) == Config()


def test_every_configuration_key_is_in_the_docs_with_its_default() -> None:
    page = (ROOT / "docs/config.md").read_text()
    listed = dict(re.findall(r"^\| `([a-z_.]+)` \| [^|]* \| ([^|]*) \|", page.split("## Lists")[0], flags=re.MULTILINE))
    shown = {
        name: "empty" if default in ("", ()) else f"{default:g}" if isinstance(default, float) else str(default)
        for name, default in keys(Config).items()
    }
    assert {name: value.strip("`") for name, value in listed.items()} == shown
    lists = re.findall(r"^\| `lists\.([a-z_]+)` \|", page, flags=re.MULTILINE)
    assert lists == [field.name for field in msgspec.structs.fields(configuration.List)]


def test_what_a_running_daemon_takes_over_is_in_the_docs() -> None:
    page = (ROOT / "docs/config.md").read_text()
    (line,) = re.findall(r"^Taken over at once: (.*)\.$", page, flags=re.MULTILINE)
    assert re.findall(r"`([a-z_.]+)`", line) == sorted(LIVE)


def test_the_trace_headers_are_those_that_the_docs_list() -> None:
    page = (ROOT / "docs/schema.md").read_text().partition("## Digests")[2]
    listed = re.findall(r"`([A-Z][A-Za-z0-9-]*\*?)`", page)
    assert listed == [*TRACE_HEADERS, *(f"{prefix}*" for prefix in TRACE_PREFIXES)]


def metrics_there() -> dict[str, str]:
    """Every metric of ours with its type; counters as they are read, with _total."""
    return {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in metrics.REGISTRY.collect()
        if family.name.startswith("ingestd_")
    }


def test_every_metric_is_in_the_docs_and_no_other() -> None:
    page = (ROOT / "docs/monitoring.md").read_text()
    listed = dict(re.findall(r"^\| `(ingestd_[a-z_]+)` \| ([a-z]+) \|", page, flags=re.MULTILINE))
    assert listed == metrics_there()


def test_the_labels_of_a_metric_are_in_the_docs() -> None:
    page = (ROOT / "docs/monitoring.md").read_text()
    listed = dict(re.findall(r"^\| `(ingestd_[a-z_]+)` \| [a-z]+ \|([^|]*)\|", page, flags=re.MULTILINE))
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            name = metric._name + ("_total" if metric._type == "counter" else "")
            assert tuple(re.findall("`([a-z]+)`", listed[name])) == metric._labelnames


def test_the_alert_rules_name_metrics_that_are_there() -> None:
    rules = (ROOT / "contrib/ingestd.rules.yml").read_text()
    named = set(re.findall(r"ingestd_[a-z_]+", rules))
    assert named
    assert named <= set(metrics_there())


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
