"""The schema's versions. They only add; they run by command, never by a server."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory


def migrate(url: str) -> None:
    """Bring the database at *url* to the newest version; does nothing where it is there already, or ahead.

    It is ahead of a server that was rolled back, which runs on it as well.
    """
    configuration = _configuration()
    configuration.attributes["url"] = url
    command.upgrade(configuration, "head")


def head() -> str:
    """Return the newest version, as in "0001"."""
    return str(ScriptDirectory.from_config(_configuration()).get_current_head())


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent))
    configuration.set_main_option("path_separator", "os")
    return configuration
