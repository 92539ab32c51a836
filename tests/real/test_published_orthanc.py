"""URLs in Orthanc's JSON lead to the proxy, so that a viewer's palettes do too; in both ways."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest

from tests.house import STORY, House, house
from tests.real.conftest import RealOrigin
from tests.real.study import Image
from tests.scripted_origin import ScriptedOrigin

pytestmark = [pytest.mark.anyio, pytest.mark.demo]

JSON = {"accept": "application/dicom+json"}
ANY = {"accept": 'multipart/related; type="application/octet-stream"'}
PUBLIC = "http://imaging.example"


def uris_in(value: Any) -> list[str]:
    """All URLs in DICOM JSON: BulkDataURI, and values of VR UR."""
    if isinstance(value, list):
        return [uri for each in value for uri in uris_in(each)]
    if not isinstance(value, dict):
        return []
    own = [value["BulkDataURI"]] if "BulkDataURI" in value else []
    own += value.get("Value", []) if value.get("vr") == "UR" else []
    return own + [uri for each in value.values() for uri in uris_in(each)]


def palettes(real: RealOrigin) -> list[Image]:
    return [image for image in real.images if not image.is_htj2k]


def published(
    real: RealOrigin, listen: dict[str, str] | None = None, **origin: Any
) -> AbstractAsyncContextManager[House]:
    return house(ScriptedOrigin(), origin={"url": real.url, **origin}, listen=listen or {})


def part_in(body: bytes) -> bytes:
    return body.partition(b"\r\n")[2].rpartition(b"\r\n--")[0]


async def bodies(home: House, real: RealOrigin, uris: list[str]) -> None:
    """Each URI gives the same through the proxy as directly; only the boundaries differ, each time."""
    for uri in uris:
        path = uri.partition("/studies/")[2]
        answer = await home.viewer.get(uri, headers=ANY)
        url = f"{real.url}/studies/{path}"
        direct = await asyncio.to_thread(httpx.get, url, headers=ANY, trust_env=False, timeout=STORY)
        assert answer.status_code == direct.status_code == 200
        assert part_in(answer.content) == part_in(direct.content) != b""


async def test_rewritten_uris_of_palettes_lead_to_the_proxy(orthanc_open: RealOrigin) -> None:
    async with published(orthanc_open, rewrite=True) as home:
        base = str(home.viewer.base_url).rstrip("/")
        for image in palettes(orthanc_open):
            series = image.paths[0].partition("/instances/")[0]
            answer = await home.viewer.get(f"{series}/metadata", headers=JSON)
            uris = uris_in(answer.json())
            assert len(uris) >= 3
            assert {uri.partition("/studies/")[0] for uri in uris} == {base}
            await bodies(home, orthanc_open, [uri.removeprefix(base) for uri in uris])
        found = await home.viewer.get("/studies", headers=JSON)
        assert {uri.partition("/studies/")[0] for uri in uris_in(found.json())} == {base}


async def test_orthanc_builds_uris_from_forwarded_behind_its_own_root(orthanc_open: RealOrigin) -> None:
    """So the origin's name has to be the first segment of Orthanc's root."""
    listen = {"public_url": PUBLIC}
    async with published(orthanc_open, listen, forwarded="rfc7239", name="dicom-web") as home:
        for image in palettes(orthanc_open):
            series = image.paths[0].partition("/instances/")[0]
            answer = await home.viewer.get(f"/dicom-web{series}/metadata", headers=JSON)
            uris = uris_in(answer.json())
            assert {uri.partition("/studies/")[0] for uri in uris} == {f"{PUBLIC}/dicom-web"}
            await bodies(home, orthanc_open, [uri.removeprefix(PUBLIC) for uri in uris])


async def test_with_both_the_origin_may_have_any_name(orthanc_open: RealOrigin) -> None:
    listen = {"public_url": PUBLIC}
    async with published(orthanc_open, listen, forwarded="rfc7239", rewrite=True) as home:
        image = palettes(orthanc_open)[0]
        series = image.paths[0].partition("/instances/")[0]
        answer = await home.viewer.get(f"/pacs{series}/metadata", headers=JSON)
        assert {uri.partition("/studies/")[0] for uri in uris_in(answer.json())} == {f"{PUBLIC}/pacs"}
