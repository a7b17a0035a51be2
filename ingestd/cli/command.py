"""What every command shares: the group, the configuration, one way to run, exit codes, and how values are shown."""

# Heavy imports are within the commands: `ingestd deliver` runs once a mail, and needs none of them.
import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from ingestd import config as configuration
from ingestd.errors import ConfigError, MailError, Permanent, UserError

if TYPE_CHECKING:
    from ingestd.config import Config

EX_USAGE, EX_DATAERR, EX_UNAVAILABLE, EX_SOFTWARE, EX_TEMPFAIL, EX_CONFIG = 64, 65, 69, 70, 75, 78

Result = TypeVar("Result")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ingestd", prog_name="ingestd")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Configuration file. Default: $INGESTD_CONFIG, else /etc/ingestd/config.toml where there is one.",
)
@click.pass_context
def ingestd(context: click.Context, config_path: Path | None) -> None:
    """Take patches from mailing lists and keep them, grouped into series, in PostgreSQL."""
    context.obj = config_path


def config_of(context: click.Context) -> "Config":
    """The configuration that the command line and the environment name. ConfigError when it cannot be used."""
    return configuration.load(context.obj)


def run(config: "Config", work: Coroutine[Any, Any, Result]) -> Result:
    """What `work` returns, with logs set up; a reader of our output who has seen enough is no error."""
    from ingestd import logs

    logs.set_up(config.log.level, config.log.format)
    try:
        return asyncio.run(work)
    except BrokenPipeError:
        # Whoever reads has seen enough; what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def transact(
    context: click.Context, work: Callable[[Any], Coroutine[Any, Any, Result]], *, write: bool = False
) -> Result:
    """Run `work` in one transaction on a database with our schema; `write`: it holds the ingest lock."""
    from ingestd import daemon

    config = config_of(context)

    async def transaction() -> Result:
        async with (
            daemon.open_store(config) as database,
            database.ingest() if write else database.transaction() as connection,
        ):
            return await work(connection)

    return run(config, transaction())


def facts_of(row: Any) -> dict[str, Any]:  # noqa: ANN401 - any row of the store
    """A row as JSON has it: digests in hex, times in ISO 8601."""
    return {
        name: value.hex() if isinstance(value, bytes) else value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(row).items()
    }


def shown(value: object) -> str:
    """A value on a terminal: what a mail says must not move the cursor."""
    text = "-" if value is None else ", ".join(value) if isinstance(value, tuple) else str(value)
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def fail(message: str, code: int) -> NoReturn:
    """One line for a person, and an exit code for a program."""
    click.echo(f"ingestd: {message}", err=True)
    sys.exit(code)


def main() -> None:
    """Run the command line; exit codes are those of sysexits(3)."""
    try:
        ingestd.main(standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.Abort:
        fail("interrupted", EX_TEMPFAIL)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(EX_USAGE)
    except click.ClickException as error:
        # A pipe from a mail server that is set up wrongly must not bounce mail.
        delivering = "deliver" in sys.argv[1:]
        fail(error.format_message(), EX_TEMPFAIL if delivering else EX_USAGE)
    except ConfigError as error:
        fail(str(error), EX_CONFIG)
    except UserError as error:
        fail(str(error), error.exit_code)
    except MailError as error:
        fail(str(error), EX_DATAERR if isinstance(error, Permanent) else EX_TEMPFAIL)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the last resort: our bug, said in one line and with its trace
        import traceback

        traceback.print_exc()
        fail(f"internal error, please report it: {type(error).__name__}: {error}", EX_SOFTWARE)
