"""The command. Puts rooms together that do not know each other."""

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
from proxy.service.run import run
from proxy.settings.model import Settings, load

INTERRUPTED = 130
"""Exit status (128 + SIGINT) when Ctrl-C ended a command before its work was done."""
UNREAD = 141
"""Exit status (128 + SIGPIPE) when the reader of the output went away, as `head` does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status of the process."""
    try:
        return _run(arguments)
    except ConfigurationError as error:  # says itself where the fault is
        print(error, file=sys.stderr)
        return 1
    except ProxyError as error:
        print(f"progressive-proxy: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        _discard_output()
        return UNREAD
    except OSError as error:  # without its number
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

    serving = commands.add_parser("serve", help="run the service")
    serving.add_argument("--config", type=Path, required=True, metavar="FILE", help="its configuration, YAML")
    serving.set_defaults(command=_serve)

    demos = commands.add_parser("demo", help="show it on real images, then keep serving until Ctrl-C")
    demos.add_argument("--exit", action="store_true", help="end after the table")
    demos.add_argument("--all", action="store_true", help="measure every way; takes five minutes, not two")
    demos.add_argument(
        "--tree", type=Path, metavar="DIR", help="a tree that create wrote, instead of its images"
    )
    demos.set_defaults(command=demo.demo)

    measuring = commands.add_parser("measure", help="time first and final pictures of any server")
    measuring.add_argument("origin", metavar="ORIGIN_URL", help="its base: what stands before /studies")
    measuring.add_argument("--through", metavar="PROXY_URL", help="a proxy that runs; else one is started")
    measuring.add_argument("--study", metavar="UID", help="only this study")
    measuring.add_argument("--series", metavar="UID", help="only this series")
    measuring.set_defaults(command=demo.measure)

    for parser_of in (demos, measuring):
        parser_of.add_argument(
            "--network",
            type=_network,
            default=PRESETS["4g"],
            help=f"{', '.join(PRESETS)}, or down/up/latency such as 50/10/20ms (default: 4g)",
        )
        parser_of.add_argument("--link", type=Link, choices=list(Link), help="what the network lies before")
        parser_of.add_argument("--json", action="store_true", help="one object instead of the table")

    checking = commands.add_parser("check", help="say what is wrong with a configuration")
    checking.add_argument("file", type=Path, nargs="?", metavar="FILE", help="the configuration, YAML")
    checking.add_argument("--schema", action="store_true", help="print its JSON Schema instead")
    checking.add_argument("--profile", metavar="NAME", help="print this stock profile instead")
    checking.add_argument("--origin", metavar="URL", help="try an origin instead, and print what it can")
    checking.add_argument(
        "--header",
        type=_header,
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="sent to that origin",
    )
    checking.add_argument("--study", metavar="UID", help="a study there to take a frame of")
    checking.set_defaults(command=_check, parser=checking)

    create.add_options(commands.add_parser("create", help="make a static DICOMweb tree of DICOM files"))

    plans = commands.add_parser("plan", help="print the fetches of a series in order, or carry them out")
    plans.add_argument("profile", metavar="PROFILE", help=f"{', '.join(STOCK)}, or a file, YAML or JSON")
    plans.add_argument("--images", type=_images, metavar="N", help="images of the series that is printed")
    plans.add_argument("--json", action="store_true", help="a list instead of the table")
    plans.add_argument("--run", action="store_true", help="carry it out, at an origin, for a series")
    plans.add_argument("--origin", metavar="ORIGIN_URL", help="its base: what stands before /studies")
    plans.add_argument("--study", metavar="UID", help="its StudyInstanceUID")
    plans.add_argument("--series", metavar="UID", help="its SeriesInstanceUID")
    plans.set_defaults(command=_plan, parser=plans)

    looking = commands.add_parser("inspect", help="say what a frame is, and where its resolutions end")
    looking.add_argument("source", metavar="FILE|URL", help="a codestream, a DICOM file, or a frame's URL")
    looking.add_argument("--json", action="store_true", help="one object a frame and line")
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
    raise argparse.ArgumentTypeError("a header, such as Authorization:Bearer …")  # never what was given


def _images(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"a number of images, 1 at least; not {text!r}")


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
        options.parser.error("a FILE, or --schema, --profile, --origin")
    else:
        settings = load(options.file)
        back = ", ".join(settings.leading_back())
        if back:
            raise ConfigurationError(f"{options.file}: origins: the url of {back} leads to this proxy itself")
        origins = ", ".join(f"{origin.name} ({origin.url})" for origin in settings.origins)
        print(f"{options.file}: good; origins: {origins}")
    return 0


def _plan(options: argparse.Namespace) -> int:
    if options.run and not (options.origin and options.study and options.series):
        options.parser.error("--run needs --origin, --study and --series")
    if not options.run and options.images is None:
        options.parser.error("--images N, or --run")
    return plan.plan(options)
