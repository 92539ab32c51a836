"""The setup of the viewer benchmarks: the demo's origin, links, proxies, and Chromium with Cornerstone3D.

Chromium, the page, the codec and the shaders are always warm: series of the same kind were loaded from
another port before. Each load has a new browser context, without connections or a cache. The proxy has served
other frames in the last seconds. So it knows the origin's request form, and its connections are open.
"""

import secrets
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs
import uvloop

from proxy.archive.prepare import prepare
from proxy.codecs.htj2k import encode_proved
from proxy.commands.processes import Children, address, listen
from proxy.demo import images
from proxy.demo.attributes import uid_of
from proxy.demo.origin import create_origin
from proxy.measure.link import run_link
from proxy.measure.network import Network
from proxy.service.listeners import Listener
from proxy.service.run import run
from proxy.settings.model import Settings
from proxy.viewers.cors import shared
from tests.bench.browser_quality import Shown, shown
from tests.bench.shared import start
from tests.browser.pictures import Series
from tests.browser.plans import BY_RANGE
from tests.browser.serving import PageServer, page_server, program
from tests.browser.viewing import FLAGS, FULL, Seen, viewer_in

TREE = platformdirs.user_cache_path("progressive-proxy") / "demo"
WARM_IMAGES = 8
"""Images of the series that are loaded to warm up."""
WARM_LOADS = 2
"""Loads to warm up. The first one still compiles."""
WARMING: Mapping[str, Mapping[str, Any]] = {"stack": BY_RANGE, "volume": {"stages": "interleaved"}}
TIMINGS = """performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/studies/'))
    .map((entry) => ({ is_frame: entry.name.includes('/instances/'), from: entry.startTime,
                       to: entry.responseEnd, protocol: entry.nextHopProtocol }))"""
"""JavaScript that returns, for each request, its start and the arrival of its response."""
AT_REST = """(metadata) => {
    let rest;
    const atRest = () => (rest ??= new Promise((resolve) => setTimeout(resolve, 150)));
    const { fetch: real, XMLHttpRequest: { prototype } } = window;
    const { send } = prototype;
    window.fetch = async (url, options) => {
        if (String(url).endsWith('/metadata')) return real(metadata, options);
        await atRest();
        return real(url, options);
    };
    prototype.send = function (...given) { atRest().then(() => send.apply(this, given)); };
}"""
"""JavaScript that waits until the viewport is empty and at rest.

So the first request to the measured server is the one for the first frame. The metadata comes from the server
of the page.
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """A series of the demo."""

    kind: str
    """stack or volume, as the page calls it."""
    name: str
    """Name of the series in the demo."""
    size: str
    """Size for the table."""
    images: int
    """Number of images."""

    @property
    def path(self) -> str:
        """Path of the series, below the root."""
        return f"/studies/{uid_of(self.name, 'study')}/series/{uid_of(self.name, 'series')}"


STACK = Subject("stack", "cr-large", "3036x3036, 11.1 MB", 1)
VOLUME = Subject("volume", "ct-series", "512x512x174, 23.3 MB", 174)


def run_origin(listener: socket.socket, tree: str, page: str) -> None:
    """Runs the demo's origin, with permission for pages of another origin to read it."""
    app = create_origin(Path(tree))
    letting_in = shared(app, [page], credentials=False, private_network=False, max_age=600)
    uvloop.run(Listener(letting_in, listener, 1).until_ended())


@dataclass(frozen=True, slots=True)
class Place:
    """The processes around one origin."""

    children: Children
    """Starts the processes."""
    page: str
    """URL of the viewer's page."""
    origin: str
    """URL of the origin, without a link."""

    def linked(self, url: str, network: Network) -> str:
        """URL of the same server behind a link."""
        scheme, _, rest = url.partition("://")
        host, _, port = rest.rpartition(":")
        near = start(self.children, "link", run_link, host, int(port), network)
        return near.replace("http", scheme)

    def proxied(self, url: str) -> str:
        """URL of a new proxy with the default settings in front of a server."""
        settings = Settings(
            _env_prefix="NOTHING_",
            origins=[{"url": url}],
            log={"level": "error"},
            cors={"origins": [self.page]},
        )
        viewers, admin = listen(), listen()
        self.children.start("proxy", run, settings, viewers, admin)
        return "http://{}:{}".format(*address(viewers))


@contextmanager
def place(page: str) -> Iterator[Place]:
    """Runs only the origin."""
    prepare(TREE, images.RECIPE, _instances, encode_proved, alternates=images.ALTERNATES)
    with Children() as children:
        yield Place(children, page, start(children, "origin", run_origin, str(TREE), page))


def _instances() -> list[images.DemoInstance]:
    return [instance for picture in images.pictures() for instance in picture.instances]


def with_nonce(retrieve: Mapping[str, Any], nonce: str) -> dict[str, Any]:
    """The same configuration with a query argument, so that the proxy's cache holds none of its frames."""
    options = {"default": {}, **retrieve.get("retrieveOptions", {})}
    apart = {
        name: {**each, "urlArguments": "&".join(filter(None, (each.get("urlArguments"), f"_={nonce}")))}
        for name, each in options.items()
    }
    return {**retrieve, "retrieveOptions": apart}


@dataclass
class Browser:
    """Loads series, each one like a user who has just opened the page."""

    chromium: Any
    server: PageServer
    warm: str = ""
    """Root URL for warming up the page and the codec. It is set before the first load."""
    protocol: str = "http/1.1"
    """The HTTP version that every response must have."""
    digests: dict[tuple[str, int], str] = field(default_factory=dict)
    """Digest of each complete image, by series and index. It must be equal for all ways."""

    async def load(
        self,
        subject: Subject,
        root: str,
        retrieve: dict[str, Any],
        *,
        is_opened: bool = False,
        limits: Mapping[str, int] | None = None,
    ) -> tuple[Shown, Seen]:
        """Loads a series once. With `is_opened` the load begins with a request to `root` for the metadata."""
        metadata = f"/plain{subject.path}/metadata"
        self.server.files[metadata] = (TREE / f"{subject.path[1:]}/metadata.json").read_bytes()
        async with viewer_in(self.chromium, self.server) as viewer:
            await viewer.prepare()
            warming = {
                "name": "warm",
                "kind": subject.kind,
                "root": self.warm,
                "series": subject.path,
                "retrieve": WARMING[subject.kind],
                "only": WARM_IMAGES,
            }
            for _ in range(WARM_LOADS):
                await viewer.page.evaluate("asked => window.show(asked)", warming)
            if not is_opened:
                await viewer.page.evaluate(AT_REST, metadata)
            await viewer.page.evaluate("performance.clearResourceTimings()")
            await viewer.page.evaluate("performance.setResourceTimingBufferSize(4000)")
            series = Series(subject.path, (), (0, 0))
            seen = await viewer.show(subject.kind, root, series, retrieve, limits=limits)
            timings = await viewer.page.evaluate(TIMINGS)
            assert not viewer.faults, viewer.faults[:2]
        self._check(subject, seen)
        frames = [timing for timing in timings if timing["is_frame"]]
        spoken = {timing["protocol"] for timing in frames} - {
            ""
        }  # a response from the browser's cache has no protocol
        assert spoken == {self.protocol}, spoken
        opened = min(timing["from"] for timing in timings)
        began = opened if is_opened else min(timing["from"] for timing in frames)
        arrivals = [timing["to"] - opened for timing in frames]
        return shown(seen, began - opened, arrivals, subject.images), seen

    def _check(self, subject: Subject, seen: Seen) -> None:
        assert not seen.errors, seen.errors[:2]
        assert seen.rendering == "gpu"
        for image in seen.images:
            if image["status"] == FULL:
                key = subject.name, image["index"]
                assert self.digests.setdefault(key, image["digest"]) == image["digest"], (
                    "the pixels differ from those of another way"
                )


def is_hit(seen: Seen) -> bool:
    """True if the proxy had every frame in its cache."""
    told = [exchange.answered.get("cache-status", "") for exchange in seen.exchanges]
    return all("hit" in each for each in told)


def new_nonce() -> str:
    return secrets.token_hex(4)


@asynccontextmanager
async def browser(*flags: str) -> AsyncIterator[Browser]:
    """Runs Chromium and the server of the page."""
    from playwright.async_api import async_playwright

    async with page_server() as server, async_playwright() as driver:
        running = await driver.chromium.launch(executable_path=program("chromium"), args=[*FLAGS, *flags])
        try:
            yield Browser(running, server)
        finally:
            await running.close()
