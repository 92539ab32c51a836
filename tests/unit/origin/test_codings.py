"""Content codings are undone piece by piece, or said to be broken."""

import asyncio
import gzip
import sys
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest

from proxy.errors import OriginMismatch
from proxy.origin.coders import PIECE, recoded
from proxy.origin.codings import TURN, encoded, undone
from tests.house import house
from tests.scripted_origin import FRAME, HANG_UP, LABEL, Reply, ScriptedOrigin, codestream

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.anyio

BODY = codestream(700_000)


def bare(body: bytes) -> bytes:
    """Deflate without its envelope."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


CODED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate ": bare,
    "gzip, aws-chunked": gzip.compress,
    "x-gzip": gzip.compress,
    "zstd": zstd.compress,
    "deflate, gzip": lambda body: gzip.compress(zlib.compress(body)),
}


UNPACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "zstd": zstd.decompress}
MOST = 64 * 1024 * 1024


async def arriving(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


@pytest.mark.parametrize("size", [1000, 65_536, 1_000_000])
@pytest.mark.parametrize("coding", CODED)
async def test_what_is_coded_comes_out_as_it_was(coding: str, size: int) -> None:
    pieces = undone(arriving(CODED[coding](BODY), size), coding, MOST)
    assert b"".join([piece async for piece in pieces]) == BODY


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
async def test_a_little_that_holds_much_comes_out_in_pieces(coding: str) -> None:
    pieces = undone(arriving(CODED[coding](bytes(MOST)), MOST), coding, MOST)
    sizes = [len(piece) async for piece in pieces]
    assert (sum(sizes), max(sizes)) == (MOST, PIECE)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
async def test_what_is_cut_or_no_coding_is_an_error(coding: str) -> None:
    whole = CODED[coding](BODY)
    for broken in (whole[:-9], whole[:20], BODY, whole + b"x", whole + bytes(5000)):
        with pytest.raises(OriginMismatch):
            [piece async for piece in undone(arriving(broken, 1000), coding, MOST)]
    assert [piece async for piece in undone(arriving(b"", 1000), coding, MOST)] == []


def packed(times: int, body: bytes) -> bytes:
    """A body in gzip, in gzip, and so on."""
    for _ in range(times):
        body = gzip.compress(body, 6)
    return body


def wide(body: bytes) -> bytes:
    """A body that makes its reader hold 128 MiB."""
    packer = zstd.ZstdCompressor(options={int(zstd.CompressionParameter.window_log): 27})
    return packer.compress(body) + packer.flush()


BOMBS: dict[str, tuple[str, int, Callable[[], bytes]]] = {
    "much in little": ("gzip", 1, lambda: bytes(MOST)),
    "much in little in little": ("gzip, gzip", 2, lambda: bytes(MOST)),
    "much behind an empty one": ("gzip, gzip", 1, lambda: gzip.compress(b"") + bytes(MOST)),
    "much in little zstd": ("zstd", 0, lambda: zstd.compress(bytes(MOST))),
    "a window of 128 MiB": ("zstd", 0, lambda: wide(BODY)),
    "three codings": ("gzip, deflate, gzip", 3, lambda: BODY),
    "hundreds of codings": (", ".join(["gzip"] * 300), 3, lambda: BODY),
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_bomb_takes_little_memory_and_leaves_the_loop_free(bomb: str) -> None:
    coding, times, content = BOMBS[bomb]
    body, most, turns, pieces = packed(times, content()), 4 * 1024 * 1024, 0, 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(others())
        tracemalloc.start()
        try:
            with pytest.raises(OriginMismatch) as refused:
                async for _ in undone(arriving(body, 65_536), coding, most):
                    pieces += 1
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            waiting.cancel()
    assert refused.value.reason in ("too_large", "encoding")
    assert peak < 3 * 1024 * 1024
    assert pieces <= most // PIECE
    assert turns >= pieces


async def test_a_frame_that_unpacks_to_more_than_a_frame_has_is_refused_early() -> None:
    bomb = gzip.compress(BODY + bytes(64 * 1024 * 1024))
    said = {"content-type": LABEL, "content-encoding": "gzip"}
    origin = ScriptedOrigin(script=lambda a: Reply(200, said, (bomb, HANG_UP)) if a.path == FRAME else None)
    limits = {"limits": {"frame_bytes": 4 * 1024 * 1024}}
    async with house(origin, origin=limits) as home:
        answer = await home.viewer.get(FRAME, headers={"accept": "image/jphc"})
        assert (answer.status_code, answer.json()["title"]) == (502, "OriginMismatch")
        came = sum(home.metric("origin_bytes_total", origin="pacs", stage=s) for s in ("first", "whole"))
        assert 0 < came < 3 * (4 * 1024 * 1024 + PIECE)  # it is asked again


@pytest.mark.parametrize("size", [1000, 65_536, 1_000_000])
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_what_is_compressed_comes_in_small_pieces_and_can_be_undone_as_it_comes(
    coding: str, size: int
) -> None:
    made, plain, random = bytearray(), bytearray(), Random(1)
    async for piece, of in encoded(arriving(BODY, size), coding):
        assert len(of) <= TURN
        made += piece
        plain += of
        is_end = len(plain) % size == 0 or len(plain) == len(BODY)
        if of and is_end and random.randrange(len(BODY) // size + 1) < 5:
            begun = undone(arriving(bytes(made), len(made)), coding, MOST)
            some = bytearray()
            with pytest.raises(OriginMismatch, match="ends too early"):
                async for each in begun:
                    some += each
            assert some == plain
    assert plain == BODY
    assert UNPACK[coding](bytes(made)) == BODY


def test_another_coding_of_the_same_is_made_up_to_a_bound() -> None:
    packed = zstd.compress(BODY)
    pieces = [packed[at : at + 1000] for at in range(0, len(packed), 1000)]
    other = recoded(pieces, "zstd", "gzip", len(BODY))
    assert other is not None
    assert gzip.decompress(b"".join(other)) == BODY
    assert recoded(pieces, "zstd", "gzip", len(BODY) - 1) is None
