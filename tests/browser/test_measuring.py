"""The counting, the drawing and the setup of the browser benchmarks."""

import asyncio
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from proxy.origin.transport import Tls, Transport
from tests.bench.browser_http2 import ingress
from tests.bench.browser_plot import Strip, draw
from tests.bench.browser_quality import at_time, shown, steps_of
from tests.bench.shared import NotInstalled
from tests.browser.viewing import ADJACENT, FULL, SUBRESOLUTION, Seen
from tests.house import PATIENCE, house, read_until
from tests.scripted_origin import FRAME, ScriptedOrigin, codestream, honest


def image(at: float, index: int, status: int, rows: int = 512) -> dict[str, float]:
    return {"at": at, "index": index, "status": status, "rows": rows}


def render(at: float, images: int, lit: float = 0.5) -> dict[str, float]:
    return {"at": at, "images": images, "lit": lit}


SERIES = Seen(
    images=[
        image(110, 0, SUBRESOLUTION),
        image(110, 1, ADJACENT),
        image(130, 1, SUBRESOLUTION),
        image(150, 0, FULL),
        image(151, 1, ADJACENT),
        image(190, 1, FULL),
    ],
    errors=[],
    renders=[
        render(90, 0, lit=0.9),
        render(115, 2, lit=0.01),
        render(120, 2),
        render(160, 4),
        render(200, 6),
    ],
    stages=[],
    rendering="gpu",
    ended=210,
    exchanges=[],
)


def test_times_are_counted_from_the_first_request() -> None:
    found = shown(SERIES, began=100, arrivals=[180, 105], count=2)
    assert (found.fetched, found.arrived) == (5, 80)
    assert (found.decoded, found.first, found.seen, found.whole) == (10, 20, 30, 100)


def test_a_copy_of_a_neighbour_counts_until_the_image_itself_has_come() -> None:
    steps = shown(SERIES, began=100, arrivals=[180, 105], count=2).steps
    smaller, copied, whole = ((status, 512) for status in (SUBRESOLUTION, ADJACENT, FULL))
    assert list(steps) == [
        (15, {smaller: 0.5}),
        (15, {smaller: 0.5, copied: 0.5}),
        (60, {smaller: 1}),
        (60, {smaller: 0.5, whole: 0.5}),
        (100, {whole: 1}),
    ]
    assert at_time(steps, 14) == {}
    assert at_time(steps, 59) == {smaller: 0.5, copied: 0.5}
    assert at_time(steps, 1000) == {whole: 1}


def test_a_stack_grows_by_its_rows() -> None:
    images = [image(5, 0, SUBRESOLUTION, 380), image(7, 0, SUBRESOLUTION, 759), image(9, 0, FULL, 3036)]
    found = [shares for _, shares in steps_of(images, 1)]
    assert found == [{(SUBRESOLUTION, 380): 1}, {(SUBRESOLUTION, 759): 1}, {(FULL, 3036): 1}]


@pytest.mark.parametrize("left_out", ["an image", "its drawing", "any light"])
def test_a_load_that_never_became_whole_has_no_times(left_out: str) -> None:
    seen = {
        "an image": replace(SERIES, images=SERIES.images[:-1]),
        "its drawing": replace(SERIES, renders=SERIES.renders[:-1]),
        "any light": replace(SERIES, renders=[render(200, 6, lit=0)]),
    }[left_out]
    with pytest.raises(ValueError, match="some images are not complete"):
        shown(seen, began=100, arrivals=[180, 105], count=2)


def test_a_bar_begins_when_its_picture_does() -> None:
    stack = Strip(
        "range", "cold", ((200, {(SUBRESOLUTION, 380): 1.0}), (2000, {(FULL, 3036): 1.0})), 200, 2010
    )
    volume = Strip("stock", "hot", shown(SERIES, 100, [180, 105], 2).steps, 20, 100)
    drawn = ElementTree.fromstring(draw([stack], [volume]))
    name = "{http://www.w3.org/2000/svg}"
    ticks = {
        text.text: line.get("x1")
        for line, text in zip(drawn.findall(f"{name}line"), drawn.findall(f"{name}text")[1:], strict=False)
    }
    bars = [rect for rect in drawn.findall(f"{name}rect") if rect.get("height") == "14"][:2]
    assert [round(float(bar.get("x", 0))) for bar in bars] == [
        int(ticks["200 ms"] or 0),
        int(ticks["2 s"] or 0),
    ]
    said = {text.text for text in drawn.findall(f"{name}text")}
    assert {"range", "cold", "stock", "hot", "380", "3036", "0.1 s"} <= said


@pytest.mark.anyio
async def test_the_ingress_hands_on_first_bytes_while_the_rest_waits(tmp_path: Path) -> None:
    body, go_on = codestream(300_000), asyncio.Event()
    origin = ScriptedOrigin({FRAME: body})
    origin.script = lambda asked: (
        honest(body, asked, before=[go_on]) if asked.range == "bytes=65536-" else None
    )
    async with house(origin) as home:
        try:
            with ingress(tmp_path, str(home.viewer.base_url)) as url:
                assert await asyncio.to_thread(_spoken_at, url, tmp_path / "ca.pem") == "h2"
                transport = await asyncio.to_thread(Transport, PATIENCE, Tls(ca_file=tmp_path / "ca.pem"))
                async with httpx.AsyncClient(base_url=url, transport=transport, timeout=None) as viewer:
                    headers = {"accept": "image/jphc"}
                    async with viewer.stream("GET", FRAME, headers=headers) as answer:
                        chunks = answer.aiter_raw()
                        begun = await read_until(chunks, 65536)
                        assert not go_on.is_set()
                        go_on.set()
                        rest = b"".join([chunk async for chunk in chunks])
        except NotInstalled as missing:
            pytest.skip(str(missing))
    assert begun + rest == body
    assert len(begun) == 65536


def _spoken_at(url: str, authority: Path) -> str | None:
    host, _, port = url.removeprefix("https://").rpartition(":")
    context = ssl.create_default_context(cafile=str(authority))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection((host, int(port))) as near,
        context.wrap_socket(near, server_hostname=host) as tls,
    ):
        return tls.selected_alpn_protocol()
