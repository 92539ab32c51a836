"""The page of the demo: starts the lines, the proxy and the page's server, and opens the browser."""

import os
import socket
import sys
import webbrowser
from pathlib import Path

import platformdirs

from proxy.commands.processes import Children, address, listen
from proxy.demo import compare
from proxy.demo.lines import run_lines
from proxy.demo.ways import NAMES
from proxy.measure.network import Network
from proxy.measure.two_step import alternates
from proxy.service.run import run
from proxy.settings.model import Settings

SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")
"""Variables that say that there is a screen to open a browser on."""


def pages_of(listener: socket.socket) -> tuple[str, str]:
    """Returns the two names under which a browser knows the page's origin."""
    port = address(listener)[1]
    return f"http://127.0.0.1:{port}", f"http://localhost:{port}"


def start_page(
    children: Children, page: socket.socket, origin: str, network: Network, kept: Path | None = None
) -> tuple[str, str]:
    """Starts all that the page needs but the origin. Returns the bases of the proxy and its admin listener.

    `kept` is the folder for programs that the page installs; if absent, it is in the person's cache.

    Each way has two lines, one directly to the origin and one for the proxy, so no load slows another. A
    browser opens six connections to one host, so each way has a host of its own below `localhost`.
    """
    host, _, port = origin.removeprefix("http://").partition(":")
    sockets = {(side, name): listen() for side in ("direct", "proxied") for name in NAMES}
    told, telling = socket.socketpair()
    children.start("lines", run_lines, list(sockets.values()), host, int(port), network, told)
    urls = {key: "http://{}:{}".format(*address(listener)) for key, listener in sockets.items()}
    viewers, admin = listen(), listen()
    # Environment variables are meant for `serve`.
    settings = Settings(
        _env_prefix="NOTHING_",
        admin={"open": True},
        origins=[{"name": name, "url": urls["proxied", name]} for name in NAMES],
        cors={"origins": pages_of(page)},
        log={"level": "error"},
        alternates=alternates(),
    )
    children.start("proxy", run, settings, viewers, admin)
    place = compare.Place(
        origin=origin,
        admin="http://{}:{}".format(*address(admin)),
        direct={name: urls["direct", name] for name in NAMES},
        proxied={name: f"http://{name}.localhost:{address(viewers)[1]}/{name}" for name in NAMES},
        kept=kept or platformdirs.user_cache_path("progressive-proxy"),
    )
    children.start("page", compare.run, page, place, network, telling)
    proxy = "http://{}:{}".format(*address(viewers))
    for each in (*sockets.values(), viewers, admin, told, telling):
        each.close()  # the children have their own
    return proxy, place.admin


def open_browser(url: str) -> None:
    """Opens the page if a person sits at this screen. A browser in the terminal is not opened."""
    if not sys.stdout.isatty() or not (sys.platform == "darwin" or any(map(os.environ.get, SCREENS))):
        return
    webbrowser.open(url)
