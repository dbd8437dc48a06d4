"""Bring a database to the newest schema, or write the next migration from the models."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from assistant.db.session import Database

# One upgrade at a time where several processes start together (an arbitrary number of our own).
_POSTGRES_LOCK = 731_645_201


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


async def upgrade(db: Database) -> None:
    """Run all migrations that the database has not seen; does nothing when it is up to date."""

    def run(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _POSTGRES_LOCK})
        command.upgrade(_config(connection), "head")

    async with db.engine.begin() as connection:
        await connection.run_sync(run)


async def write_migration(db: Database, message: str, revision: str) -> None:
    """Write the migration that turns the database into what the models say; for developers."""
    async with db.engine.begin() as connection:
        await connection.run_sync(
            lambda c: command.revision(_config(c), message=message, rev_id=revision, autogenerate=True)
        )
