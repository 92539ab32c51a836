"""The command `create`: a static DICOMweb tree of DICOM files, and how nginx serves it."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from proxy.archive.create import TreeOptions, create
from proxy.archive.nginx import configuration
from proxy.archive.tree import Forms
from proxy.codecs.jobs import Alternate
from proxy.settings.sections import AlternateSettings

FRAMES = {"htj2k": Alternate("htj2k"), "jpegls": Alternate("jpegls"), "as-is": None}
"""What frames can be made into."""
WRAPS = {"single": (True, False), "multipart": (False, True), "both": (True, True)}
"""Whether they are there alone, and as multipart."""
_KEYS = "no such key; there are scale, near, step, quality"


def add_options(parser: argparse.ArgumentParser) -> None:
    """All that the command takes."""
    parser.add_argument(
        "source", type=Path, nargs="*", metavar="SOURCE", help="DICOM files, or folders of them"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="the tree; it may be there"
    )
    parser.add_argument(
        "--frames", choices=FRAMES, default="htj2k", help="how they are encoded (default: htj2k)"
    )
    parser.add_argument(
        "--alternate",
        type=alternate,
        action="append",
        default=[],
        metavar="NAME=SPEC",
        help="another representation, such as jls=jpegls or 'jlsThumbnail=jpegls,scale=1/16 area'",
    )
    parser.add_argument("--thumbnails", action="store_true", help="a small JPEG of each instance and series")
    parser.add_argument("--instances", action="store_true", help="keep the DICOM files in the tree too")
    parser.add_argument(
        "--wrap", choices=WRAPS, default="both", help="frames alone, or as .mht (default: both)"
    )
    parser.add_argument("--gzip", action="store_true", help="lists and metadata as .json.gz too")
    parser.add_argument("--nginx", action="store_true", help="only print how nginx serves the tree")
    parser.set_defaults(command=run, parser=parser)


def alternate(text: str) -> tuple[str, Alternate]:
    """An alternate as it is asked for: NAME=codec, then perhaps more of what the configuration knows.

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
        faults = error.errors(include_url=False, include_input=False)
        raise argparse.ArgumentTypeError("; ".join(_said(dict(fault)) for fault in faults)) from None


def _said(fault: Mapping[str, Any]) -> str:
    where, words = ".".join(map(str, fault["loc"])), str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        words = _KEYS
    return f"{where}: {words}" if where else words


def run(options: argparse.Namespace) -> int:
    """Makes the tree; 1 where something was not converted, and then says what."""
    out = sys.stdout
    if options.nginx:
        out.write(configuration(options.output.resolve()))
        return 0
    if not options.source:
        options.parser.error("SOURCE, or --nginx")
    alternates = dict(options.alternate)
    if len(alternates) < len(options.alternate):
        options.parser.error("--alternate: a NAME stands more than once")
    forms = Forms(*WRAPS[options.wrap], is_gzip=options.gzip)
    frames = FRAMES[options.frames]
    wanted = TreeOptions(frames, alternates, forms, options.thumbnails, options.instances)
    outcome = create(options.output, options.source, wanted, sys.stderr)
    out.write(f"{outcome}\n")
    sys.stderr.writelines(f"{line}\n" for line in outcome.faults)
    return 1 if outcome.failed or not outcome.listed else 0
