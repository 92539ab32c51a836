"""The command `plan`: prints the fetches of a series in order, or runs them at an origin."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.codestream.reach import ResolutionTarget, Stop
from proxy.commands.urls import server_url
from proxy.errors import UnknownName
from proxy.plan.names import STOCK
from proxy.wire.meant import meant

if TYPE_CHECKING:
    from proxy.plan.plan import Fetch
    from proxy.plan.profile import Profile


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("profile", metavar="PROFILE", help=f"{', '.join(STOCK)}, or a file with a profile")
    parser.add_argument("--images", type=_images, metavar="N", help="number of images in the printed series")
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of the table")
    parser.add_argument("--run", action="store_true", help="run the plan for a series of an origin")
    parser.add_argument(
        "--origin", type=server_url, metavar="ORIGIN_URL", help="base URL of the origin, without /studies"
    )
    parser.add_argument("--via", metavar="URL", help="HTTP proxy on the way to the origin, or environment")
    parser.add_argument("--study", metavar="UID", help="StudyInstanceUID of the series")
    parser.add_argument("--series", metavar="UID", help="SeriesInstanceUID of the series")
    parser.set_defaults(command=plan, parser=parser)


def _images(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a number of images, at least 1, not {text!r}")


def plan(options: argparse.Namespace) -> int:
    """Prints a plan for `images` images, or runs it with `--run`."""
    if options.run and not (options.origin and options.study and options.series):
        options.parser.error("--run needs --origin, --study and --series")
    if not options.run and options.images is None:
        options.parser.error("give --images N or --run")
    profile = _profile(options.profile)
    if options.run:
        from proxy.commands.run_plan import carry_out

        return carry_out(profile, options)
    from proxy.plan.advice import advice
    from proxy.plan.plan import ordered

    fetches = list(ordered(profile, options.images))
    if options.json:
        print(json.dumps([_fields(fetch) for fetch in fetches], indent=2))
    else:
        _print_fetches(fetches)
    for words in advice(profile, options.images, fetches):
        print(f"warning: {words}", file=sys.stderr)
    return 0


def _profile(name: str) -> "Profile":
    """Returns a stock profile, or reads a profile from a file."""
    from proxy.plan.profile import stock_profile
    from proxy.settings.profiles import read_profile

    if name in STOCK:
        return stock_profile(name)
    if not Path(name).exists():
        raise UnknownName(
            f"{name} is neither a file nor a stock profile"
            + meant(name, STOCK, f"stock profiles are {', '.join(STOCK)}")
        )
    return read_profile(Path(name))


def _fields(fetch: "Fetch") -> dict[str, str | int | None]:
    return {
        "stage": fetch.stage,
        "image": fetch.image,
        "retrieveType": fetch.retrieve_type,
        "requestType": fetch.request_type,
        "priority": fetch.priority,
        "start": _plain(fetch.part.start),
        "stop": _plain(fetch.part.stop),
    }


def _plain(mark: Stop | None) -> str | int | None:
    """Returns bytes as a number, a resolution as written in a profile."""
    return str(mark) if isinstance(mark, ResolutionTarget) else mark


def _print_fetches(fetches: "Sequence[Fetch]") -> None:
    """Prints one line per fetch; images are 0-based."""
    rows = [("stage", "image", "retrieveType", "requestType", "priority", "range")]
    for fetch in fetches:
        stage, image, kind, queue, priority, *_ = map(str, _fields(fetch).values())
        path = f"  {fetch.frames_path}" if fetch.frames_path else ""
        rows.append((stage, image, kind, queue, priority, str(fetch.part) + path))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if head in ("image", "priority") else cell.ljust(width)
            for head, cell, width in zip(rows[0], row, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())
