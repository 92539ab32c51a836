"""dicomweb-client, which research programs use, gets the same results from the proxy and from the origin."""

import asyncio
import io
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from dicomweb_client.api import DICOMwebClient
from requests import HTTPError

from proxy.archive.prepare import prepare
from proxy.codecs.htj2k import encode_htj2k
from proxy.commands.processes import Children, address, listen
from proxy.demo.origin import run
from tests.house import House
from tests.real.conftest import RealOrigin, origin_at
from tests.real.study import STUDY, Image
from tests.real.test_any_origin import in_front_of

pytestmark = [pytest.mark.anyio, pytest.mark.demo]

ANY = (("application/octet-stream", "*"),)
AS_STORED = (("application/dicom", "*"),)


@pytest.fixture(scope="session")
def own_tree(study: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOrigin]:
    """The demo's origin with a tree that our own writer made."""
    tree, held = tmp_path_factory.mktemp("own") / "tree", [image for image in study if image.is_htj2k]
    prepare(tree, "real", lambda: held, encode_htj2k, io.StringIO())
    with listen() as listener, Children() as children:
        host, port = address(listener)
        children.start("origin", run, listener, str(tree))
        yield origin_at(f"http://{host}:{port}", held)


@pytest.fixture(params=["own_tree", "orthanc_open"])
def searched(request: pytest.FixtureRequest) -> RealOrigin:
    """Every origin that supports searches, in turn."""
    found: RealOrigin = request.getfixturevalue(request.param)
    return found


def client(url: object) -> DICOMwebClient:
    made = DICOMwebClient(str(url).rstrip("/"))
    made.set_http_retry_params(retry=False)
    return made


def uids(image: Image) -> tuple[str, str, str]:
    """UIDs of the study, the series and the instance."""
    _, _, study, _, series, _, instance = image.path.split("/")
    return study, series, instance


Ask = Callable[[DICOMwebClient], Any]


async def asked(home: House, ask: Ask) -> Any:
    """The client's result through the proxy."""
    return await asyncio.to_thread(ask, client(home.viewer.base_url))


async def is_told_the_same(real: RealOrigin, *asks: Ask) -> None:
    async with in_front_of(real) as home:
        for ask in asks:
            own = await asyncio.to_thread(ask, client(real.url))
            assert own
            assert await asked(home, ask) == own


def placeless(told: Any) -> str:
    """A result without the start of its URLs. Orthanc ignores `Host`, and the client drops the port."""
    assert told
    return re.sub(r"http://127\.0\.0\.1(:\d+)?", "", json.dumps(told))


async def test_searches_find_what_the_origin_finds(searched: RealOrigin) -> None:
    _, series, _ = uids(searched.images[0])
    await is_told_the_same(
        searched,
        lambda told: placeless(told.search_for_studies()),
        lambda told: placeless(told.search_for_studies(search_filters={"PatientID": "real"}, limit=1)),
        lambda told: placeless(told.search_for_series(STUDY)),
        lambda told: placeless(told.search_for_series(STUDY, search_filters={"Modality": "CT"})),
        lambda told: placeless(told.search_for_instances(STUDY)),
        lambda told: placeless(told.search_for_instances(STUDY, series, limit=1)),
    )


async def test_metadata_is_the_origins_at_every_height(searched: RealOrigin) -> None:
    study, series, instance = uids(searched.images[0])
    await is_told_the_same(
        searched,
        lambda told: placeless(told.retrieve_study_metadata(study)),
        lambda told: placeless(told.retrieve_series_metadata(study, series)),
        lambda told: placeless(told.retrieve_instance_metadata(study, series, instance)),
    )


async def test_each_frame_is_the_origins_and_several_come_in_their_order(searched: RealOrigin) -> None:
    async with in_front_of(searched) as home:
        for image in searched.images:
            bodies = [
                searched.own[path][-1].body for path in image.paths
            ]  # the frames as stored, if the server can return them
            for number in range(len(bodies)):
                found = await asked(home, _frames(image, [number + 1]))
                assert [bytes(frame) for frame in found] == [bodies[number]], image.name
            if image.is_htj2k:
                backwards = await asked(home, _frames(image, range(len(bodies), 0, -1)))
                assert [bytes(frame) for frame in backwards] == bodies[::-1]


def _frames(image: Image, numbers: Any) -> Ask:
    return lambda told: told.retrieve_instance_frames(*uids(image), list(numbers), media_types=ANY)


async def test_a_frame_is_what_the_client_gets_of_an_origin_that_knows_it(own_tree: RealOrigin) -> None:
    image = own_tree.images[0]
    await is_told_the_same(
        own_tree,
        _frames(image, [1]),
        lambda told: list(told.iter_instance_frames(*uids(image), [1], media_types=ANY)),
    )


async def test_whole_instances_series_and_studies_go_through(orthanc_open: RealOrigin) -> None:
    study, series, instance = uids(orthanc_open.images[0])
    await is_told_the_same(
        orthanc_open,
        lambda told: told.retrieve_instance(study, series, instance, media_types=AS_STORED),
        lambda told: told.retrieve_instance(study, series, instance).file_meta,
        lambda told: told.retrieve_series(study, series, media_types=AS_STORED),
        lambda told: list(told.iter_study(study, media_types=AS_STORED)),
    )


async def test_bulkdata_goes_through(orthanc_open: RealOrigin) -> None:
    [palette] = [image for image in orthanc_open.images if image.name == "palette"]
    metadata = await asyncio.to_thread(
        lambda: client(orthanc_open.url).retrieve_instance_metadata(*uids(palette))
    )
    uris = [value["BulkDataURI"] for value in metadata.values() if "BulkDataURI" in value]
    assert len(uris) >= 3  # one look-up table for each colour
    for uri in uris:
        # The URIs contain the origin's address, so the part before /studies is replaced.
        below = "/studies/" + uri.partition("/studies/")[2]
        await is_told_the_same(orthanc_open, partial(_bulkdata, below))


def _bulkdata(below: str, told: DICOMwebClient) -> Any:
    return told.retrieve_bulkdata(told.base_url + below, media_types=ANY)


async def test_what_is_not_there_is_the_same_error(searched: RealOrigin) -> None:
    study, series, instance = uids(searched.images[0])

    def status_of(told: DICOMwebClient) -> int:
        with pytest.raises(HTTPError) as refused:
            told.retrieve_instance_metadata(study, series, instance + ".9")
        answer = refused.value.response
        return 0 if answer is None else answer.status_code

    await is_told_the_same(searched, status_of)
