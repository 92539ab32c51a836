import numpy as np
import pytest

from proxy.codecs.htj2k import encode_htj2k
from proxy.measure.resolution import describe, proved_resolution


@pytest.mark.anyio
async def test_a_prefix_is_told_by_what_it_decodes_to() -> None:
    noise = np.random.default_rng(1).integers(0, 4096, (256, 320)).astype(np.uint16)
    codestream = encode_htj2k(noise)
    told = [await proved_resolution(codestream, have) for have in (20, len(codestream) // 3, len(codestream))]
    assert told == [None, "160x128 (1/2)", "320x256 (1/1)"]


@pytest.mark.anyio
async def test_what_is_no_codestream_is_not_told() -> None:
    assert await proved_resolution(bytes(100), 100) is None
    assert await proved_resolution(b"", 0) is None


def test_sizes_are_rounded_up() -> None:
    assert describe(3036, 3037, 1) == "1518x1519 (1/2)"
