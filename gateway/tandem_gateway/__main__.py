"""The command `tandem-gateway`."""

from __future__ import annotations

import argparse
import gc
import sys

import uvloop
from pydantic import ValidationError

from tandem_gateway.app import serve
from tandem_gateway.settings import Settings
from tandem_proto import logs, telemetry


def main() -> None:
    """Run the command line; exits with 2 if a setting or its file does not fit, with 1 if the address is taken."""
    parser = argparse.ArgumentParser(prog="tandem-gateway", description="Tandem's REST gateway.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve REST until SIGTERM")
    commands.add_parser("settings", help="print every setting with its value")
    command = parser.parse_args().command
    try:
        settings = Settings()
    except ValidationError as error:
        parser.error(str(error))
    if command == "settings":
        sys.stdout.writelines(f"{line}\n" for line in settings.lines())
        return
    gc.freeze()  # what lives as long as the process need not be looked at again and again
    logs.set_up(settings.log_format)
    try:
        with telemetry.running(settings, "tandem-gateway", exposed=True):
            uvloop.run(serve(settings))
    except ValueError as error:
        parser.exit(2, f"tandem-gateway: {error}\n")
    except OSError as error:
        parser.exit(1, f"cannot serve on {settings.http_listen}: {error.strerror}\n")


if __name__ == "__main__":
    main()
