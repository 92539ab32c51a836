"""The command `create`: creates a static DICOMweb tree from DICOM files, or prints nginx's configuration."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from proxy.archive.create import TreeOptions, create
from proxy.archive.nginx import configuration
from proxy.archive.tree import Forms
from proxy.codecs.jobs import Alternate
from proxy.settings.sections import AlternateSettings
from proxy.settings.wording import wording

FRAMES = {"htj2k": Alternate("htj2k"), "jpegls": Alternate("jpegls"), "as-is": None}
"""Encodings of frames."""
WRAPS = {"single": (True, False), "multipart": (False, True), "both": (True, True)}
"""Stored forms: as single parts, as multipart."""
_KEYS = "unknown key; the keys are scale, near, step, quality"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "source", type=Path, nargs="*", metavar="SOURCE", help="DICOM files, or folders that contain them"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the tree; an existing tree is extended",
    )
    parser.add_argument(
        "--frames",
        choices=FRAMES,
        help="encoding of all frames (default: htj2k, but lossy frames are kept as they are)",
    )
    parser.add_argument(
        "--alternate",
        type=alternate,
        action="append",
        default=[],
        metavar="NAME=SPEC",
        help="another representation, such as jls=jpegls or 'jlsThumbnail=jpegls,scale=1/16 area'",
    )
    parser.add_argument(
        "--thumbnails", action="store_true", help="add a small JPEG of each instance and series"
    )
    parser.add_argument("--instances", action="store_true", help="store the DICOM files in the tree too")
    parser.add_argument(
        "--wrap",
        choices=WRAPS,
        default="both",
        help="frames as single parts, as .mht, or both (default: both)",
    )
    parser.add_argument("--gzip", action="store_true", help="also store lists and metadata as .json.gz")
    parser.add_argument("--nginx", action="store_true", help="only print an nginx configuration for the tree")
    parser.set_defaults(command=run, parser=parser)


def alternate(text: str) -> tuple[str, Alternate]:
    """Parses NAME=codec, optionally followed by more keys of an alternate in the configuration.

    >>> alternate("jlsThumbnail=jpegls,scale=1/16 area")[1].scale
    4
    """
    name, _, spec = text.partition("=")
    codec, *others = spec.split(",")
    told: dict[str, Any] = {key.strip(): value for key, _, value in (each.partition("=") for each in others)}
    if doubly := {"path", "made", "codec"} & set(told):
        raise argparse.ArgumentTypeError(f"{doubly.pop()}: {_KEYS}")
    settings = told | {"path": f"/{name}/", "codec": codec.strip()}
    try:
        return name, AlternateSettings(**settings).alternate
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise argparse.ArgumentTypeError("; ".join(map(_said, faults))) from None


def _said(fault: ErrorDetails) -> str:
    where, words = ".".join(map(str, fault["loc"])), wording(fault)
    if fault["type"] == "extra_forbidden":
        words = _KEYS
    return f"{where}: {words}" if where else words


def run(options: argparse.Namespace) -> int:
    """Creates the tree. If something was not converted, prints what and returns 1."""
    out = sys.stdout
    if options.nginx:
        out.write(configuration(options.output.resolve()))
        return 0
    if not options.source:
        options.parser.error("give SOURCE or --nginx")
    alternates = dict(options.alternate)
    if len(alternates) < len(options.alternate):
        options.parser.error("--alternate: each NAME may occur only once")
    forms = Forms(*WRAPS[options.wrap], is_gzip=options.gzip)
    frames = FRAMES[options.frames or "htj2k"]
    wanted = TreeOptions(
        frames, alternates, forms, options.thumbnails, options.instances, keeps_lossy=options.frames is None
    )
    outcome = create(options.output, options.source, wanted, sys.stderr)
    out.write(f"{outcome}\n")
    sys.stderr.writelines(f"{line}\n" for line in outcome.faults)
    return 1 if outcome.failed or not outcome.listed else 0
