"""A study that OHIF opens directly, through a cold proxy and through a hot one, with what each took."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from tests.browser.archive import Archive, Call
from tests.browser.ohif import EXAMPLE, PAGE, Ohif, Opened
from tests.house import House, house
from tests.scripted_origin import UID, ScriptedOrigin

STUDY = f"{UID}.11"
STACK = f"/viewer?StudyInstanceUIDs={STUDY}"
PICTURE = f"StudyInstanceUIDs={STUDY}&initialSeriesInstanceUID={UID}.12"
STREAMED, BY_RANGE = f"/viewer?{PICTURE}", f"/viewer/pacs-by-range?{PICTURE}"
MPR = f"{STACK}&hangingProtocolId=mpr"
PAGES = {
    "volume as a stack": STACK,
    "volume as MPR": MPR,
    "radiographs": STREAMED,
    "radiographs by range": BY_RANGE,
}
"""OHIF's pages by their name in the table."""
VIEWPORTS = {STACK: 1, MPR: 3, STREAMED: 1, BY_RANGE: 1}
DIRECT, COLD, HOT = "direct", "cold proxy", "hot proxy"


@dataclass(frozen=True)
class Way:
    """One opening of a page."""

    name: str
    page: Opened
    calls: list[Call]
    """Requests that reached the archive."""

    def row(self, page: str) -> dict[str, Any]:
        """The counts, as a row of the table."""
        kinds = Counter(call.kind for call in self.calls)
        counts = {kind: kinds[kind] for kind in ("searches", "metadata", "frames")}
        return {"page": page, "way": self.name, "viewer": len(self.page.asked), **counts}


@asynccontextmanager
async def proxy_of(viewer: Ohif, archive: Archive, **more: Any) -> AsyncIterator[House]:
    """The proxy with the example's configuration, but for the addresses. No time passes for what it keeps."""
    told = yaml.safe_load((EXAMPLE / "config.yaml").read_text("utf-8"))
    assert told["cors"]["origins"] == [PAGE]
    cors = told["cors"] | {"origins": [viewer.site.url]}
    async with house(
        ScriptedOrigin(), origin={"url": archive.url}, cors=cors, cache=told["cache"], **more
    ) as home:
        home.app.resources.holding.clock = lambda: 1000.0
        archive.taken()  # the proxy's greeting
        yield home


def root_of(home: House) -> str:
    return str(home.viewer.base_url).rstrip("/")


async def each_way(viewer: Ohif, archive: Archive, page: str, least: int = 0) -> list[Way]:
    """Opens a page directly, then through a new proxy, then once more through the same one.

    Each opening has at `least` so many requests.
    """

    async def opened(name: str, root: str) -> Way:
        archive.taken()
        found = await viewer.open(root, page, VIEWPORTS[page], least)
        return Way(name, found, archive.taken())

    direct = await opened(DIRECT, archive.url)
    async with proxy_of(viewer, archive) as home:
        cold = await opened(COLD, root_of(home))
        await home.until_idle()
        late = archive.taken()
        hot = await opened(HOT, root_of(home))
    return [direct, Way(COLD, cold.page, [*cold.calls, *late]), hot]
