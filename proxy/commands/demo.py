"""The commands `demo` and `measure`: run origin, proxy and link as processes, and print the table."""

import argparse
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs
import uvloop

from proxy.archive.manifest import FILE_NAME
from proxy.archive.prepare import prepare
from proxy.codecs.htj2k import encode_proved
from proxy.commands.compare import open_browser, pages_of, start_page
from proxy.commands.processes import Children, address, listen
from proxy.commands.urls import server_url
from proxy.demo import images
from proxy.demo import origin as demo_origin
from proxy.errors import ConfigurationError, ProxyError
from proxy.measure.find import find_subjects
from proxy.measure.link import run_link
from proxy.measure.network import PRESETS, Network, parse_network
from proxy.measure.plans import profiles
from proxy.measure.row import Link
from proxy.measure.run import Setup
from proxy.measure.run import measure as rows_of
from proxy.measure.server import Server
from proxy.measure.table import print_table, to_json
from proxy.measure.two_step import alternates
from proxy.origin.outbound import Outbound
from proxy.service.run import run
from proxy.settings.model import Settings


def add_demo_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `demo`."""
    parser.add_argument("--table", action="store_true", help="print measured times instead of opening a page")
    parser.add_argument("--exit", action="store_true", help="stop after the table")
    parser.add_argument("--all", action="store_true", help="measure every way; takes five minutes, not two")
    parser.add_argument(
        "--tree", type=Path, metavar="DIR", help="use a tree written by create instead of the demo's images"
    )
    _add_link_options(parser)
    parser.set_defaults(command=demo)


def add_measure_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `measure`."""
    parser.add_argument(
        "origin", type=server_url, metavar="ORIGIN_URL", help="base URL of the origin, without /studies"
    )
    parser.add_argument(
        "--through",
        type=server_url,
        metavar="PROXY_URL",
        help="use this running proxy instead of starting one",
    )
    parser.add_argument("--via", metavar="URL", help="HTTP proxy on the way to the origin, or environment")
    parser.add_argument("--study", metavar="UID", help="measure only this study")
    parser.add_argument("--series", metavar="UID", help="measure only this series")
    _add_link_options(parser)
    parser.set_defaults(command=measure)


def _add_link_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--network",
        type=_network,
        default=PRESETS["4g"],
        help=f"{', '.join(PRESETS)}, or down/up/latency such as 50/10/20ms (default: 4g)",
    )
    parser.add_argument(
        "--link", type=Link, choices=list(Link), help="the server that the network is in front of"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def _network(text: str) -> Network:
    try:
        return parse_network(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def demo(options: argparse.Namespace) -> int:
    """Serves real images until Ctrl-C, with a page that compares ways to load them, or with a table."""
    tree = options.tree
    if tree is None:
        tree = own_tree()
    elif not (tree / FILE_NAME).is_file():
        raise ConfigurationError(f"{tree} is not a complete tree written by create")
    is_table = options.table or options.exit or options.all or options.json or options.link
    (_show_table if is_table else _show_page)(tree, options)
    return 0


def _show_page(tree: Path, options: argparse.Namespace) -> None:
    """Serves the page, and says where."""
    with Children() as children:
        listener, page = listen(), listen()
        children.start("origin", demo_origin.run, listener, str(tree), pages_of(page))
        proxy, admin = start_page(children, page, _url(listener), options.network)
        url = f"{pages_of(page)[0]}/"
        print(f"Compare with and without the proxy: {url}")
        print(f"Serving {proxy}/range/studies, metrics at {admin}/metrics. Press Ctrl-C to stop.", flush=True)
        open_browser(url)
        with suppress(KeyboardInterrupt):
            signal.pause()


def _show_table(tree: Path, options: argparse.Namespace) -> None:
    """Measures, prints the table, then serves the images."""
    with Children() as children:
        listener = listen()
        children.start("origin", demo_origin.run, listener, str(tree))
        place = _placed(children, _url(listener), None, options)
        has_jls = all(any(tree.glob(f"studies/*/series/*/instances/*/{name}")) for name in images.ALTERNATES)
        try:
            _announce(is_short=not options.all)
            uvloop.run(_shown(place, options, has_jls=has_jls, is_short=not options.all))
        except ProxyError as error:
            if options.tree is None or options.exit:
                raise
            print(f"progressive-proxy: not measured: {error}", file=sys.stderr)  # but served
        if not options.exit:
            print(
                f"\nServing {place.proxy}/studies, metrics at {place.admin}/metrics. Press Ctrl-C to stop.",
                flush=True,
            )
            with suppress(KeyboardInterrupt):
                signal.pause()


def _announce(*, is_short: bool) -> None:
    """Says at once what happens now and how long it takes."""
    short = "Measuring for two minutes: the main ways, one load each. All ways, in five minutes: --all"
    everything = "Measuring for five minutes: all ways, and medians of three loads for the single image."
    print(short if is_short else everything, file=sys.stderr, flush=True)


def own_tree() -> Path:
    """Encodes the demo's images once, in the person's cache folder, and returns their tree."""
    tree = platformdirs.user_cache_path("progressive-proxy") / "demo"
    prepare(tree, images.RECIPE, _instances, encode_proved, alternates=images.ALTERNATES)
    return tree


def _instances() -> list[images.DemoInstance]:
    return [instance for picture in images.pictures() for instance in picture.instances]


def measure(options: argparse.Namespace) -> int:
    """Measures any server."""
    with Children() as children:
        if options.via is not None and options.network.is_shaped:
            raise ConfigurationError("--via: a link leads past an HTTP proxy; use --network local")
        place = _placed(children, options.origin.rstrip("/"), options.through, options, options.via)
        uvloop.run(_shown(place, options, options.study, options.series))
    return 0


@dataclass(frozen=True, slots=True)
class Place:
    """The base URLs of the servers, and the place of the link."""

    origin: str
    """The origin, without the link."""
    proxy: str
    """The proxy, without the link."""
    admin: str
    """The proxy's admin listener; empty if the proxy is not ours."""
    direct: str
    """The origin as a viewer reaches it."""
    through: str
    """The proxy as a viewer reaches it."""
    link: Link
    """The server that the link is in front of."""
    outbound: Outbound | None
    """The HTTP proxy on the way to the origin."""


def _placed(
    children: Children, origin: str, through: str | None, options: argparse.Namespace, via: str | None = None
) -> Place:
    """Starts the link, and a proxy unless one is given."""
    network: Network = options.network
    link = options.link or (Link.VIEWER if through else Link.ORIGIN)
    if through and link is Link.ORIGIN and network.is_shaped:
        raise ConfigurationError("--link origin: a link can't be put between a running proxy and its origin")
    direct = _linked(children, origin, network)
    if through:
        proxy, admin = through.rstrip("/"), ""
    else:
        proxy, admin = _start_proxy(children, direct if link is Link.ORIGIN else origin, via)
    seen = _linked(children, proxy, network) if link is Link.VIEWER else proxy
    return Place(origin, proxy, admin, direct, seen, link, None if via is None else Outbound(via))


def _linked(children: Children, url: str, network: Network) -> str:
    """Puts a link in front of a URL and returns the URL to use instead."""
    if not network.is_shaped:
        return url
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ConfigurationError(f"{url}: a link supports only http://; use --network local for https://")
    listener = listen()
    children.start("link", run_link, listener, parts.hostname, parts.port or 80, network)
    return _url(listener) + parts.path


def _start_proxy(children: Children, origin: str, via: str | None) -> tuple[str, str]:
    viewers, admin = listen(), listen()
    # Environment variables are meant for `serve`.
    settings = Settings(
        _env_prefix="NOTHING_",
        admin={"open": True},
        origins=[{"url": origin, "via": {} if via is None else {"url": via}}],
        log={"level": "error"},
        profiles=profiles(),
        alternates=alternates(),
    )
    children.start("proxy", run, settings, viewers, admin)
    return _url(viewers), _url(admin)


def _url(listener: socket.socket) -> str:
    host, port = address(listener)
    return f"http://{host}:{port}"


async def _shown(
    place: Place,
    options: argparse.Namespace,
    study: str | None = None,
    series: str | None = None,
    *,
    has_jls: bool = False,
    is_short: bool = False,
) -> None:
    """Measures and prints."""
    async with Server(place.origin, outbound=place.outbound) as server:
        subjects = await find_subjects(server, study, series)
    network, admin = options.network, place.admin or None
    setup = Setup(subjects, place.direct, place.through, network, place.link, admin, has_jls, place.outbound)
    rows = rows_of(replace(setup, is_short=True, stack_samples=1) if is_short else setup)
    if options.json:
        print(to_json([row async for row in rows]), flush=True)
    else:
        await print_table(options.network, place.link, rows)
