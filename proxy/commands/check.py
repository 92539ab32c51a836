"""The command `check`: checks a configuration or a profile, and more by options.

An import stands where it is used, because most people check a file, and often.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.commands.urls import server_url
from proxy.errors import ConfigurationError
from proxy.plan.names import STOCK, stock_text

if TYPE_CHECKING:
    from proxy.settings.model import Settings


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="a configuration or a profile")
    parser.add_argument(
        "--no-files",
        action="store_true",
        help="open nothing that the configuration names, because it is meant for another machine",
    )
    parser.add_argument(
        "--schema",
        nargs="?",
        const="configuration",
        choices=("configuration", "profile"),
        help="print the JSON Schema of a configuration instead, or of a profile's file",
    )
    parser.add_argument(
        "--profile", metavar="NAME", help=f"print this stock profile instead: {', '.join(STOCK)}"
    )
    parser.add_argument(
        "--origin", type=server_url, metavar="URL", help="try an origin instead, and print what it can do"
    )
    parser.add_argument(
        "--header",
        type=_header,
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="header to send to the origin of --origin",
    )
    parser.add_argument(
        "--via", metavar="URL", help="HTTP proxy on the way to the origin of --origin, or environment"
    )
    parser.add_argument("--study", metavar="UID", help="take the frame from this study of the origin")
    parser.set_defaults(command=check, parser=parser)


def check(options: argparse.Namespace) -> int:
    """Checks a file, or does what an option says instead."""
    if options.schema:
        from proxy.settings.schema import schema_of

        print(json.dumps(schema_of(options.schema), indent=2))
    elif options.profile is not None:
        print(stock_text(options.profile), end="")
    elif options.origin is not None:
        from proxy.commands.probe import probe

        return probe(options)
    elif options.file is None:
        options.parser.error("give a FILE, --schema, --profile or --origin")
    else:
        _check_file(options.file, opens=not options.no_files)
    return 0


def _check_file(path: Path, *, opens: bool) -> None:
    from proxy.settings.model import load
    from proxy.settings.profiles import is_profile, read_profile
    from proxy.settings.via import ways_of

    if is_profile(path):
        stages = ", ".join(stage.id for stage in read_profile(path).stages)
        print(f"{path} is a valid profile; stages: {stages}")
        return
    settings = load(path)
    if back := ", ".join(settings.leading_back()):
        raise ConfigurationError(f"{path}: origins: the url of {back} leads back to this proxy")
    if opens:
        _open(path, settings)
    origins = ", ".join(f"{origin.name} ({origin.url}{origin.via.words})" for origin in settings.origins)
    print(f"{path} is valid; origins: {origins}")
    for name in sorted(settings.converted):
        print(f"origin {name}: frames that are not HTJ2K are made into lossless HTJ2K by the proxy")
    for alternate in settings.alternates.values():
        print(f"alternate {alternate.path}: {alternate.words}")
    for key, via in ways_of(settings):
        if key not in {f"origins[{origin.name}]" for origin in settings.origins}:
            print(f"{key} connects{via.words}")
    _warn(settings, opens=opens)


def _open(path: Path, settings: "Settings") -> None:
    from proxy.service.named import faults_of
    from proxy.settings.reading import line_of

    faults = [
        f"{path}:{line_of(path, key)}: {'.'.join(map(str, key))}: {words}"
        for key, words in faults_of(settings)
    ]
    if faults:
        faults.append("--no-files leaves this out, for a file that is meant for another machine")
        raise ConfigurationError("\n".join(faults))


def _warn(settings: "Settings", *, opens: bool) -> None:
    from proxy.service.memory import memory_limit, warning
    from proxy.service.open_to_all import open_to_all

    if not (settings.admin.open or settings.admin.token_file):
        print("plans, purges and /v1/origins on the admin listener are off: admin.token_file is not set")
    store = _fault_of_store(settings) if opens else None
    for words in (warning(settings, memory_limit()), open_to_all(settings), store, *_too_deep(settings)):
        if words is not None:
            print(f"warning: {words}", file=sys.stderr)


def _too_deep(settings: "Settings") -> Iterator[str]:
    for origin in settings.origins:
        if re.search(r"/studies(/|$)", origin.url):
            yield f"origin {origin.name}: its url has /studies, which the proxy adds itself: {origin.url}"


def _fault_of_store(settings: "Settings") -> str | None:
    """A warning, as the proxy serves without the store too."""
    objects = settings.cache.objects
    if objects.url is None:
        return None
    from proxy.service.objects import fault_of

    fault = fault_of(objects)
    return fault and f"cache.objects: {objects.url}: {fault}; the proxy serves without it"


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if colon and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) and value.strip().isprintable():
        return name, value.strip()
    # The message must not repeat a secret.
    raise argparse.ArgumentTypeError("must be NAME:VALUE, such as Authorization:Bearer …")
