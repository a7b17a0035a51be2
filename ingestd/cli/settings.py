"""The configuration: check, show."""

import json

import click

from ingestd import config as configuration
from ingestd.cli.command import config_of, ingestd


@ingestd.group("config")
def config_group() -> None:
    """Check and show the configuration."""


@config_group.command("check")
@click.pass_context
def config_check(context: click.Context) -> None:
    """Exit 0 if the configuration can be used, else say what is wrong and exit 78."""
    config_of(context)
    click.echo("the configuration is good")


@config_group.command("show")
@click.pass_context
def config_show(context: click.Context) -> None:
    """Print the resolved configuration as JSON, secrets masked."""
    click.echo(json.dumps(configuration.show(config_of(context)), indent=2, ensure_ascii=False))
