from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import httpx
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from tests.real.plain import Frame, own_frames
from tests.real.servers import CREATOR, SINGLE_PART, STATIC_WADO, nginx, orthanc
from tests.real.study import Image, images
from tests.real.trees import write_by_creator, write_ours

USER = {"reader": "a pass phrase"}


@dataclass(frozen=True)
class RealOrigin:
    """A real origin that runs, with the responses that it gives without the proxy."""

    url: str
    """URL up to /studies."""
    images: Sequence[Image]
    """The images that it holds."""
    credentials: Mapping[str, str]
    """Headers without which it refuses requests."""
    own: Mapping[str, Sequence[Frame]]
    """Its frames by path, in each form in which it can return them."""

    def body(self, path: str) -> bytes:
        """The bytes of a frame that the origin has in one form only."""
        bodies = {frame.body for frame in self.own[path]}
        assert len(bodies) == 1
        return bodies.pop()

    def paths(self, *, is_htj2k: bool) -> list[str]:
        """Paths of all frames that are HTJ2K, or of all that are not."""
        return [path for image in self.images if image.is_htj2k is is_htj2k for path in image.paths]


def origin_at(url: str, held: Sequence[Image], **credentials: str) -> RealOrigin:
    """Builds the description, by requesting every frame directly."""
    own = {path: own_frames(url + path, credentials) for image in held for path in image.paths}
    return RealOrigin(url, held, credentials, own)


@pytest.fixture(scope="session")
def study() -> list[Image]:
    return list(images())


@pytest.fixture(scope="session")
def nginx_single_part(study: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOrigin]:
    folder = tmp_path_factory.mktemp("single")
    write_ours(folder, study)
    with nginx(folder, SINGLE_PART) as url:
        yield origin_at(url, study)


@pytest.fixture(scope="session")
def nginx_static_wado(study: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOrigin]:
    folder = tmp_path_factory.mktemp("static-wado")
    write_ours(folder, study)
    with nginx(folder, STATIC_WADO) as url:
        yield origin_at(url, study)


@pytest.fixture(scope="session")
def nginx_creator(study: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOrigin]:
    folder = tmp_path_factory.mktemp("creator")
    held = [
        image for image in study if image.syntax != ExplicitVRLittleEndian
    ]  # this server accepts only encapsulated frames
    write_by_creator(folder, held)
    with nginx(folder, CREATOR) as url:
        yield origin_at(url, held)


@pytest.fixture(scope="session")
def orthanc_open(study: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOrigin]:
    with orthanc(tmp_path_factory.mktemp("orthanc"), study) as url:
        yield origin_at(url, study)


@pytest.fixture(scope="session")
def orthanc_basic(study: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOrigin]:
    with orthanc(tmp_path_factory.mktemp("orthanc-basic"), study, USER) as url:
        basic = httpx.BasicAuth(*next(iter(USER.items())))
        request = next(basic.auth_flow(httpx.Request("GET", url)))
        yield origin_at(url, study, authorization=request.headers["authorization"])


WITH_RANGES = ("nginx_single_part", "nginx_static_wado", "nginx_creator")


@pytest.fixture(params=[*WITH_RANGES, "orthanc_open", "orthanc_basic"])
def real(request: pytest.FixtureRequest) -> RealOrigin:
    """Every real origin in turn."""
    found: RealOrigin = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=WITH_RANGES)
def with_ranges(request: pytest.FixtureRequest) -> RealOrigin:
    """Every origin that answers range requests with ranges."""
    found: RealOrigin = request.getfixturevalue(request.param)
    return found
