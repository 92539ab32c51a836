"""curl with ranges: a part of a frame, a resumed download, and a copy that is still current."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.house import House, house
from tests.scripted_origin import FRAME, ScriptedOrigin, codestream

pytestmark = pytest.mark.anyio

BODY = codestream(200_000)


async def curl(home: House, *options: str) -> str:
    """Runs curl on the frame and returns the status of the response."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed: apt-get install curl")
    command = [program, "-sS", "--noproxy", "*", "-H", "Accept: image/jphc", "-w", "%{http_code}", *options]
    url = str(home.viewer.base_url.join(FRAME))
    done = await asyncio.to_thread(
        subprocess.run, [*command, url], capture_output=True, timeout=240, check=True
    )
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("wanted", "got"),
    [("0-65535", BODY[:65536]), ("65536-", BODY[65536:]), ("-100", BODY[-100:]), ("5-5", BODY[5:6])],
)
async def test_a_part_is_that_part(tmp_path: Path, wanted: str, got: bytes) -> None:
    async with house(ScriptedOrigin({FRAME: BODY})) as home:
        for _ in range(2):  # cold, then hot
            assert await curl(home, "-r", wanted, "-o", str(tmp_path / "part")) == "206"
            assert await asyncio.to_thread((tmp_path / "part").read_bytes) == got


async def test_a_file_is_resumed_where_it_ended(tmp_path: Path) -> None:
    file = tmp_path / "frame"
    await asyncio.to_thread(file.write_bytes, BODY[:70_000])
    async with house(ScriptedOrigin({FRAME: BODY})) as home:
        assert await curl(home, "-C", "-", "-o", str(file)) == "206"
        assert await asyncio.to_thread(file.read_bytes) == BODY


async def test_a_copy_that_is_still_good_is_not_fetched_again(tmp_path: Path) -> None:
    etag, file = str(tmp_path / "etag"), str(tmp_path / "frame")
    async with house(ScriptedOrigin({FRAME: BODY})) as home:
        said = [await curl(home, "--etag-save", etag, "--etag-compare", etag, "-o", file) for _ in range(2)]
        assert said == ["200", "304"]
        assert await asyncio.to_thread(Path(file).read_bytes) == BODY
