"""Unusual UIDs of an origin cost its own frames nothing, and frames of other origins even less."""

import json
from typing import Any

import numpy as np
import pytest

from proxy.codecs.render import windowed
from proxy.wire.display import Display, DisplayWindow
from tests.house import cache_did, house
from tests.scripted_origin import SERIES, ScriptedOrigin, frame_of, instance_of
from tests.stories.test_alternates import ALTERNATES, PIXELS, described, uncompressed
from tests.stories.test_rendered import PNG, WINDOW, shown

pytestmark = pytest.mark.anyio

UIDS = ("1.2.ABC-7_x", "patient.1-a", "frames")
ALIEN = [*UIDS, "../../studies", "1.2%2f3", "1 2", "a" * 65, "~", ""]
MIDDLE = windowed(PIXELS + 1, Display(window=DisplayWindow(1500, 2000)))
BODY = (PIXELS + 1).astype("<u2").tobytes()


def renamed(origin: ScriptedOrigin, uid: str) -> tuple[ScriptedOrigin, str]:
    """The origin with `uid` in place of all three UIDs of its series, and the new path of the series."""
    series, prefix = f"/studies/{uid}/series/{uid}", SERIES.rpartition("/")[2]
    origin.frames = {
        path.replace(SERIES, series).replace(f"{prefix}.", f"{uid}."): body
        for path, body in origin.frames.items()
    }
    metadata = origin.metadata.pop(f"{SERIES}/metadata").decode()
    origin.metadata[f"{series}/metadata"] = metadata.replace(f"{prefix}.", f"{uid}.").encode()
    return origin, series


@pytest.mark.parametrize("uid", UIDS)
async def test_frames_of_uids_with_letters_are_served_as_others_are(uid: str) -> None:
    origin, series = renamed(described(uncompressed(3), more=WINDOW), uid)
    async with house(origin, origin={"rendered": "proxy"}, alternates=ALTERNATES) as home:
        path = frame_of(1, series)
        assert uid in path
        for did in ("fwd=miss; stored", "hit"):
            answer = await home.viewer.get(path)
            assert (answer.status_code, cache_did(answer)) == (200, did)
            assert answer.content.count(BODY) == 1
            await home.until_idle()
        listed = await home.viewer.get(path.replace("frames/1", "frames/1,1"))
        assert (listed.status_code, listed.content.count(BODY)) == (200, 2)
        assert np.array_equal(shown(await home.viewer.get(f"{series}/rendered", headers=PNG)), MIDDLE)
        jls = f"{path.removesuffix('/frames/1')}/jls/1"
        assert (await home.viewer.get(jls, headers={"accept": "image/jls"})).status_code == 200
        plan = await home.begin_plan("jlsReduced", series)
        assert (await home.events(plan))[-1][1]["state"] == "done"
        assert all(asked.path.startswith((series, "/studies?")) for asked in origin.asked)


async def test_an_alternate_of_the_origins_own_is_asked_for_under_its_path_whatever_the_uids_are() -> None:
    origin, series = renamed(uncompressed(1), "frames")
    async with house(origin, alternates={"jls": {"path": "/jls/", "made": "never"}}) as home:
        path = f"{series}/instances/frames.1/jls/1"
        assert (await home.viewer.get(path, headers={"accept": "image/jls"})).status_code == 404
        plan = await home.begin_plan("jlsReduced", series)
        await home.events(plan)
        asked = {asked.path.partition("?")[0] for asked in origin.asked if "jls" in asked.path}
        assert asked == {path, path.replace("/jls/", "/jlsThumbnail/")}


@pytest.mark.parametrize("uid", ALIEN)
async def test_one_instance_of_an_odd_uid_costs_nobody_else_anything(uid: str) -> None:
    origin = described(uncompressed(3), more=WINDOW)
    path = f"{SERIES}/metadata"
    first, *others = json.loads(origin.metadata[path])
    odd: dict[str, Any] = first | instance_of(uid, number=99)
    origin.metadata[path] = json.dumps([first, odd, *others]).encode()
    async with house(origin, origin={"rendered": "proxy"}, alternates=ALTERNATES) as home:
        assert (await home.viewer.get(path)).content == origin.metadata[path]
        instance = frame_of(1).removesuffix("/frames/1")
        assert np.array_equal(shown(await home.viewer.get(f"{instance}/rendered", headers=PNG)), MIDDLE)
        assert (await home.viewer.get(f"{SERIES}/thumbnail", headers=PNG)).status_code == 200
        jls = await home.viewer.get(f"{instance}/jls/1", headers={"accept": "image/jls"})
        assert jls.status_code == 200
        for image in range(3):
            assert (await home.viewer.get(frame_of(image))).status_code == 200
        await home.until_idle()
        events = await home.events(await home.begin_plan("sequential"))
        failed = {fields["image"] for name, fields in events if name == "frame" and not fields["ok"]}
        assert failed == ({3} if uid in UIDS else set()), "only the frame that the origin lacks may fail"
        assert not any("studies/frames" in asked.path for asked in origin.asked)


@pytest.mark.parametrize(
    "bad", [b"M\xfcller", b"\xff", b"\xed\xa0\x80", b"\x1b$B\x1b(B", b"a\tb\nc", b"\xc3"]
)
async def test_a_byte_that_is_no_utf_8_costs_a_series_none_of_its_pictures(bad: bytes) -> None:
    origin = described(uncompressed(3), more=WINDOW)
    path = f"{SERIES}/metadata"
    name = b'{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "' + bad + b'"}]}, '
    origin.metadata[path] = b"\xef\xbb\xbf" + origin.metadata[path].replace(b"{", name, 1)
    async with house(origin, origin={"rendered": "proxy"}, alternates=ALTERNATES) as home:
        assert (await home.viewer.get(path)).content == origin.metadata[path], "the proxy must not change it"
        assert np.array_equal(shown(await home.viewer.get(f"{SERIES}/rendered", headers=PNG)), MIDDLE)
        jls = await home.viewer.get(frame_of(1).replace("/frames/", "/jls/"), headers={"accept": "image/jls"})
        assert jls.status_code == 200
        assert (await home.events(await home.begin_plan("sequential")))[-1][1]["state"] == "done"
