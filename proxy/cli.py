"""The command: serve, demo, measure, check, plan. Puts rooms together that do not know each other."""

import argparse
import json
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs
import uvloop

from proxy import app
from proxy.alternates.codec import encode_htj2k
from proxy.archive.prepare import prepare
from proxy.children import Children, address, listen
from proxy.configuration import read
from proxy.demo import images
from proxy.demo import origin as demo_origin
from proxy.errors import ConfigurationError, ProxyError, UnknownName
from proxy.measure.find import find_subjects
from proxy.measure.link import run_link
from proxy.measure.network import PRESETS, Network, parse_network
from proxy.measure.row import Link
from proxy.measure.run import Setup, measure
from proxy.measure.server import Server
from proxy.measure.table import print_table, to_json
from proxy.plan.plan import Fetch, ordered
from proxy.plan.profile import STOCK, Profile, stock_profile, stock_text
from proxy.settings import Settings, load

INTERRUPTED = 130
"""How a program ends that Ctrl-C ended before its work was done."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its status is the process's."""
    options = _parser().parse_args(arguments)
    # Children are ended by their parent, so a SIGTERM has to unwind it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(options.run(options))
    except ConfigurationError as error:  # says itself where the fault is
        print(error, file=sys.stderr)
        return 1
    except (ProxyError, OSError) as error:
        print(f"progressive-proxy: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("progressive-proxy", description=__doc__.partition("\n")[0])
    parser.add_argument("--version", action="version", version=version("progressive-proxy"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serving = commands.add_parser("serve", help="run the service")
    serving.add_argument("--config", type=Path, required=True, metavar="FILE", help="its configuration, YAML")
    serving.set_defaults(run=_serve)

    showing = commands.add_parser("demo", help="show it on real images, then keep serving until Ctrl-C")
    showing.add_argument("--exit", action="store_true", help="end after the table")
    showing.set_defaults(run=_demo)

    measuring = commands.add_parser("measure", help="time first and final pictures of any server")
    measuring.add_argument("origin", metavar="ORIGIN_URL", help="its base: what stands before /studies")
    measuring.add_argument("--through", metavar="PROXY_URL", help="a proxy that runs; else one is started")
    measuring.add_argument("--study", metavar="UID", help="only this study")
    measuring.add_argument("--series", metavar="UID", help="only this series")
    measuring.set_defaults(run=_measure)

    for parser_of in (showing, measuring):
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
    checking.set_defaults(run=_check, parser=checking)

    planning = commands.add_parser("plan", help="print the fetches of a series in order; nothing is fetched")
    planning.add_argument("profile", metavar="PROFILE", help=f"{', '.join(STOCK)}, or a file, YAML or JSON")
    planning.add_argument("--images", type=_images, required=True, metavar="N", help="images of the series")
    planning.add_argument("--json", action="store_true", help="a list instead of the table")
    planning.set_defaults(run=_plan)
    return parser


def _network(text: str) -> Network:
    try:
        return parse_network(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _images(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"a number of images, 1 at least; not {text!r}")


def _serve(options: argparse.Namespace) -> int:
    app.run(load(options.config))
    return 0


def _check(options: argparse.Namespace) -> int:
    if options.schema:
        print(json.dumps(Settings.model_json_schema(), indent=2))
    elif options.profile is not None:
        print(stock_text(options.profile), end="")
    elif options.file is None:
        options.parser.error("a FILE, or --schema, or --profile")
    else:
        settings = load(options.file)
        origins = ", ".join(f"{origin.name} ({origin.url})" for origin in settings.origins)
        print(f"{options.file}: good; origins: {origins}")
    return 0


def _plan(options: argparse.Namespace) -> int:
    fetches = ordered(_profile(options.profile), options.images)
    if options.json:
        print(json.dumps([_told(fetch) for fetch in fetches], indent=2))
    else:
        _print_fetches(list(fetches))
    return 0


def _profile(name: str) -> Profile:
    """A stock profile, or the one in a file."""
    if name in STOCK:
        return stock_profile(name)
    if not Path(name).exists():
        raise UnknownName(f"{name}: neither a file nor a stock profile; there are {', '.join(STOCK)}")
    return read(Path(name), Profile)


def _told(fetch: Fetch) -> dict[str, str | int | None]:
    return {
        "stage": fetch.stage,
        "image": fetch.image,
        "retrieveType": fetch.retrieve_type,
        "requestType": fetch.request_type,
        "priority": fetch.priority,
        "start": fetch.span.start,
        "stop": fetch.span.stop,
    }


def _print_fetches(fetches: Sequence[Fetch]) -> None:
    """A line each; images are 0-based."""
    rows = [("stage", "image", "retrieveType", "requestType", "priority", "range")]
    for fetch in fetches:
        stage, image, kind, queue, priority, *_ = map(str, _told(fetch).values())
        path = f"  {fetch.frames_path}" if fetch.frames_path else ""
        rows.append((stage, image, kind, queue, priority, fetch.span.to_header() + path))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if head in ("image", "priority") else cell.ljust(width)
            for head, cell, width in zip(rows[0], row, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())


def _demo(options: argparse.Namespace) -> int:
    tree = platformdirs.user_cache_path("progressive-proxy") / "demo"
    prepare(tree, images.RECIPE, _instances, encode_htj2k)
    with Children() as children:
        listener = listen()
        children.start("origin", demo_origin.run, listener, str(tree))
        place = _placed(children, _url(listener), None, options)
        uvloop.run(_shown(place, options))
        if not options.exit:
            print(
                f"\nServing {place.proxy}/studies, metrics at {place.admin}/metrics. Ctrl-C ends it.",
                flush=True,
            )
            with suppress(KeyboardInterrupt):
                signal.pause()
    return 0


def _instances() -> list[images.Instance]:
    return [instance for picture in images.pictures() for instance in picture.instances]


def _measure(options: argparse.Namespace) -> int:
    with Children() as children:
        place = _placed(children, options.origin.rstrip("/"), options.through, options)
        uvloop.run(_shown(place, options, options.study, options.series))
    return 0


@dataclass(frozen=True, slots=True)
class Place:
    """Who can be asked where; bases of URLs."""

    origin: str
    """The origin itself."""
    proxy: str
    """The proxy itself."""
    admin: str
    """Its admin listener; empty where it is not ours."""
    direct: str
    """The origin as the viewer reaches it."""
    through: str
    """The proxy as the viewer reaches it."""
    link: Link
    """What the network lies before."""


def _placed(children: Children, origin: str, through: str | None, options: argparse.Namespace) -> Place:
    """Starts what is not there yet: the link, and a proxy unless one runs."""
    network: Network = options.network
    link = options.link or (Link.VIEWER if through else Link.ORIGIN)
    if through and link is Link.ORIGIN and network.is_shaped:
        raise ConfigurationError("--link origin: nothing can be put between a running proxy and its origin")
    direct = _linked(children, origin, network)
    if through:
        proxy, admin = through.rstrip("/"), ""
    else:
        proxy, admin = _start_proxy(children, direct if link is Link.ORIGIN else origin)
    seen = _linked(children, proxy, network) if link is Link.VIEWER else proxy
    return Place(origin, proxy, admin, direct, seen, link)


def _linked(children: Children, url: str, network: Network) -> str:
    """The same URL behind a shaped link."""
    if not network.is_shaped:
        return url
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ConfigurationError(f"{url}: a link carries http:// alone; without one: --network local")
    listener = listen()
    children.start("link", run_link, listener, parts.hostname, parts.port or 80, network)
    return _url(listener) + parts.path


def _start_proxy(children: Children, origin: str) -> tuple[str, str]:
    viewers, admin = listen(), listen()
    # What is set in the environment is meant for `serve`.
    settings = Settings(_env_prefix="NOTHING_", origins=[{"url": origin}], log={"level": "error"})
    children.start("proxy", app.run, settings, viewers, admin)
    return _url(viewers), _url(admin)


def _url(listener: socket.socket) -> str:
    host, port = address(listener)
    return f"http://{host}:{port}"


async def _shown(
    place: Place, options: argparse.Namespace, study: str | None = None, series: str | None = None
) -> None:
    """Measures and prints."""
    async with Server(place.origin) as server:
        subjects = await find_subjects(server, study, series)
    rows = measure(Setup(subjects, place.direct, place.through, options.network, place.link))
    if options.json:
        print(to_json([row async for row in rows]), flush=True)
    else:
        await print_table(options.network, place.link, rows)
