"""`examples/dicomweb-client/read_study.py`, as a person runs it, in front of the demo's archive."""

import asyncio
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.real.conftest import RealOrigin
from tests.real.study import STUDY
from tests.real.test_any_origin import in_front_of
from tests.real.test_dicomweb_client import client, own_tree, uids

__all__ = ["own_tree"]  # a fixture

pytestmark = [pytest.mark.anyio, pytest.mark.demo]

EXAMPLE = Path(__file__).parents[2] / "examples" / "dicomweb-client" / "read_study.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("read_study", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_it_reads_each_frame_of_a_study(own_tree: RealOrigin) -> None:
    async with in_front_of(own_tree) as home:
        command = (sys.executable, str(EXAMPLE), str(home.viewer.base_url), str(STUDY))
        program = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        out, _ = await program.communicate()
    assert program.returncode == 0
    found = dict(re.findall(r"^(\S+ frame \d+): \d+ of (\d+) bytes$", out.decode(), re.MULTILINE))
    assert found == {
        f"{uids(image)[2]} frame {number}": str(len(frame))
        for image in own_tree.images
        for number, frame in enumerate(image.stored, start=1)
    }


async def test_its_frames_and_first_bytes_are_the_stored_ones_with_one_fetch(
    own_tree: RealOrigin, example: ModuleType
) -> None:
    async with in_front_of(own_tree) as home:
        for image in own_tree.images:
            study, series, instance = uids(image)

            def read(
                count: int = len(image.stored), who: tuple[str, str, str] = (study, series, instance)
            ) -> tuple[list[bytes], bytes]:
                told = client(home.viewer.base_url)
                first = example.first_bytes(told, *who, 1)
                return [bytes(each) for each in example.frames(told, *who, count)], bytes(first)

            frames, first = await asyncio.to_thread(read)
            assert frames == list(image.stored)
            assert image.stored[0].startswith(first[: len(image.stored[0])])
            assert len(first) >= min(len(image.stored[0]), 65_536 - 1024)
        await home.until_idle()
        fetched = home.metric("origin_bytes_total", origin="pacs", stage="first") + home.metric(
            "origin_bytes_total", origin="pacs", stage="completion"
        )
        stored = sum(len(frame) for image in own_tree.images for frame in image.stored)
        assert stored <= fetched < 1.02 * stored, "a range and the whole frame after it are one fetch"
