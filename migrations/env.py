"""How Alembic runs our migrations: on the connection the program hands over, or as SQL text for a DBA."""

from alembic import context
from sqlalchemy import Connection, text

SCHEMA = "ingestd"


def run_on(connection: Connection) -> None:
    """Migrate over `connection`, in one transaction that the caller commits."""
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    context.configure(connection=connection, version_table_schema=SCHEMA)
    with context.begin_transaction():
        context.run_migrations()


def print_sql() -> None:
    """Write the statements to Alembic's output instead of running them."""
    context.configure(
        dialect_name="postgresql",
        as_sql=True,
        literal_binds=True,
        version_table_schema=SCHEMA,
        output_buffer=context.config.output_buffer,
    )
    with context.begin_transaction():
        context.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        context.run_migrations()


if context.is_offline_mode():
    print_sql()
else:
    run_on(context.config.attributes["connection"])
