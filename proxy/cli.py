"""Progressive delivery of DICOM frames: a caching proxy for any DICOMweb origin, and its tools."""

import argparse
import json
import os
import re
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from proxy.commands import check, create, demo, inspect, plan
from proxy.errors import ConfigurationError, ProxyError
from proxy.measure.network import PRESETS, Network, parse_network
from proxy.measure.row import Link
from proxy.plan.profile import STOCK, stock_text
from proxy.service.access import open_to_all
from proxy.service.memory import memory_limit, warning
from proxy.service.run import run
from proxy.settings.model import Settings, load

INTERRUPTED = 130
"""Exit status (128 + SIGINT) after Ctrl-C, if the work was not done."""
UNREAD = 141
"""Exit status (128 + SIGPIPE) if the reader of the output went away, as `head` does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    try:
        return _run(arguments)
    except ConfigurationError as error:  # the message contains path and line
        print(error, file=sys.stderr)
        return 1
    except ProxyError as error:
        print(f"progressive-proxy: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        _discard_output()
        return UNREAD
    except OSError as error:  # without the error number
        told = ": ".join(str(each) for each in (error.filename, error.strerror) if each)
        print(f"progressive-proxy: {told or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(arguments: Sequence[str] | None) -> int:
    if sys.stdout is None:  # the shell closed it: `>&-`
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # open until the process ends
    # The parent ends its children, so a SIGTERM has to unwind it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options = _parser().parse_args(arguments)
        return int(options.command(options))
    finally:
        sys.stdout.flush()  # at the interpreter's exit it would be too late to handle an error


def _discard_output() -> None:
    """Sends what is still buffered to nowhere, or the interpreter would complain about it at its exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("progressive-proxy", description=__doc__.partition("\n")[0])
    parser.add_argument("--version", action="version", version=version("progressive-proxy"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serving = commands.add_parser("serve", help="run the proxy")
    serving.add_argument("--config", type=Path, required=True, metavar="FILE", help="the configuration, YAML")
    serving.set_defaults(command=_serve)

    demos = commands.add_parser("demo", help="measure real images, then serve them until Ctrl-C")
    demos.add_argument("--exit", action="store_true", help="stop after the table")
    demos.add_argument("--all", action="store_true", help="measure every way; takes five minutes, not two")
    demos.add_argument(
        "--tree", type=Path, metavar="DIR", help="use a tree written by create instead of the demo's images"
    )
    demos.set_defaults(command=demo.demo)

    measuring = commands.add_parser("measure", help="measure first and final pictures of any server")
    measuring.add_argument("origin", metavar="ORIGIN_URL", help="base URL of the origin, without /studies")
    measuring.add_argument(
        "--through", metavar="PROXY_URL", help="use this running proxy instead of starting one"
    )
    measuring.add_argument("--study", metavar="UID", help="measure only this study")
    measuring.add_argument("--series", metavar="UID", help="measure only this series")
    measuring.set_defaults(command=demo.measure)

    for parser_of in (demos, measuring):
        parser_of.add_argument(
            "--network",
            type=_network,
            default=PRESETS["4g"],
            help=f"{', '.join(PRESETS)}, or down/up/latency such as 50/10/20ms (default: 4g)",
        )
        parser_of.add_argument(
            "--link", type=Link, choices=list(Link), help="the server that the network is in front of"
        )
        parser_of.add_argument(
            "--json", action="store_true", help="print one JSON object instead of the table"
        )

    checking = commands.add_parser("check", help="check a configuration, or try an origin")
    checking.add_argument("file", type=Path, nargs="?", metavar="FILE", help="the configuration, YAML")
    checking.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of the configuration instead"
    )
    checking.add_argument("--profile", metavar="NAME", help="print this stock profile instead")
    checking.add_argument("--origin", metavar="URL", help="try an origin instead, and print what it can do")
    checking.add_argument(
        "--header",
        type=_header,
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="header to send to the origin of --origin",
    )
    checking.add_argument("--study", metavar="UID", help="take the frame from this study of the origin")
    checking.set_defaults(command=_check, parser=checking)

    create.add_options(commands.add_parser("create", help="create a static DICOMweb tree from DICOM files"))

    plans = commands.add_parser("plan", help="print the fetches of a series in order, or run them")
    plans.add_argument("profile", metavar="PROFILE", help=f"{', '.join(STOCK)}, or a YAML or JSON file")
    plans.add_argument("--images", type=_images, metavar="N", help="number of images in the printed series")
    plans.add_argument("--json", action="store_true", help="print a JSON list instead of the table")
    plans.add_argument("--run", action="store_true", help="run the plan for a series of an origin")
    plans.add_argument("--origin", metavar="ORIGIN_URL", help="base URL of the origin, without /studies")
    plans.add_argument("--study", metavar="UID", help="StudyInstanceUID of the series")
    plans.add_argument("--series", metavar="UID", help="SeriesInstanceUID of the series")
    plans.set_defaults(command=_plan, parser=plans)

    looking = commands.add_parser("inspect", help="describe a frame and where its resolutions end")
    looking.add_argument("source", metavar="FILE|URL", help="a codestream, a DICOM file, or a frame's URL")
    looking.add_argument("--json", action="store_true", help="print one JSON object per frame and line")
    looking.set_defaults(command=inspect.inspect)
    return parser


def _network(text: str) -> Network:
    try:
        return parse_network(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if colon and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) and value.strip().isprintable():
        return name, value.strip()
    # The message must not repeat a secret.
    raise argparse.ArgumentTypeError("must be NAME:VALUE, such as Authorization:Bearer …")


def _images(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a number of images, at least 1, not {text!r}")


def _serve(options: argparse.Namespace) -> int:
    run(load(options.config), path=options.config)
    return 0


def _check(options: argparse.Namespace) -> int:
    if options.schema:
        print(json.dumps(Settings.model_json_schema(), indent=2))
    elif options.profile is not None:
        print(stock_text(options.profile), end="")
    elif options.origin is not None:
        return check.probe(options)
    elif options.file is None:
        options.parser.error("give a FILE, --schema, --profile or --origin")
    else:
        settings = load(options.file)
        back = ", ".join(settings.leading_back())
        if back:
            raise ConfigurationError(f"{options.file}: origins: the url of {back} leads back to this proxy")
        origins = ", ".join(f"{origin.name} ({origin.url})" for origin in settings.origins)
        print(f"{options.file} is valid; origins: {origins}")
        if not (settings.admin.open or settings.admin.token_file):
            print("plans, purges and /origins on the admin listener are off: admin.token_file is not set")
        for words in (warning(settings, memory_limit()), open_to_all(settings)):
            if words is not None:
                print(f"warning: {words}", file=sys.stderr)
    return 0


def _plan(options: argparse.Namespace) -> int:
    if options.run and not (options.origin and options.study and options.series):
        options.parser.error("--run needs --origin, --study and --series")
    if not options.run and options.images is None:
        options.parser.error("give --images N or --run")
    return plan.plan(options)
