"""The command `serve`: runs the proxy."""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the configuration, YAML")
    parser.set_defaults(command=serve)


def serve(options: argparse.Namespace) -> int:
    """Runs the proxy until SIGTERM or Ctrl-C."""
    from proxy.service.run import run
    from proxy.settings.model import load

    run(load(options.config), path=options.config)
    return 0
