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
    """One that runs, with what it gives when it is asked without us."""

    url: str
    """What stands before /studies."""
    images: Sequence[Image]
    """What it holds."""
    credentials: Mapping[str, str]
    """Headers without which it gives nothing."""
    own: Mapping[str, Sequence[Frame]]
    """Each of its frames by path, in each form that it has."""

    def body(self, path: str) -> bytes:
        """Of a frame that it has in one form."""
        bodies = {frame.body for frame in self.own[path]}
        assert len(bodies) == 1
        return bodies.pop()

    def paths(self, *, is_htj2k: bool) -> list[str]:
        """Of all frames that are HTJ2K, or of all others."""
        return [path for image in self.images if image.is_htj2k is is_htj2k for path in image.paths]


def origin_at(url: str, held: Sequence[Image], **credentials: str) -> RealOrigin:
    """Asks it for every frame."""
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
    ]  # it takes encapsulated frames alone
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
    """Each of them in turn."""
    found: RealOrigin = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=WITH_RANGES)
def with_ranges(request: pytest.FixtureRequest) -> RealOrigin:
    """Those that answer a range by a range."""
    found: RealOrigin = request.getfixturevalue(request.param)
    return found
