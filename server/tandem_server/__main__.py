"""The command `tandem-server`."""

from __future__ import annotations

import argparse
import gc
import logging
import sys

import uvloop
from pydantic import ValidationError

from tandem_proto import logs
from tandem_proto.errors import TandemError
from tandem_server import telemetry
from tandem_server.app import serve
from tandem_server.commands import add_keys, run_keys
from tandem_server.migrations import migrate
from tandem_server.settings import Settings
from tandem_server.storage.checks import UnfitDatabaseError


def main() -> None:
    """Run one command; a wrong setting or an unfit database ends it with a sentence and exit code 2."""
    parser = argparse.ArgumentParser(prog="tandem-server", description="Tandem's gRPC server")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve until SIGTERM")
    commands.add_parser("migrate", help="bring the database to the schema of this version")
    commands.add_parser("settings", help="list every setting with its default")
    add_keys(commands)
    arguments = parser.parse_args()
    try:
        run(arguments)
    except (ValidationError, ValueError, UnfitDatabaseError, TandemError) as error:
        sys.stderr.write(f"tandem-server: {error}\n")
        sys.exit(2)


def run(arguments: argparse.Namespace) -> None:
    """Run the command of *arguments* with the settings of the environment."""
    if arguments.command == "settings":
        for name, default, meaning in Settings.described():
            sys.stdout.write(f"{name}={default}  # {meaning}\n")
        return
    settings = Settings().with_home()
    logs.set_up(settings.log_format)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if arguments.command == "migrate":
        migrate(settings.url)
    elif arguments.command == "keys":
        uvloop.run(run_keys(settings, arguments))
    else:
        with telemetry.running(settings):
            # Rows and messages come by the ten thousand and make no cycles: looking for some took a tenth of the time.
            gc.freeze()
            gc.set_threshold(50_000, 20, 50)
            uvloop.run(serve(settings))


if __name__ == "__main__":
    main()
