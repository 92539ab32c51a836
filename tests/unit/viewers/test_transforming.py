"""A body in another coding than the viewer accepts is undone, up to a bound."""

import gzip
from collections.abc import AsyncIterator

import pytest

from proxy.cache.representation import Head
from proxy.errors import OriginMismatch
from proxy.viewers.transforming import Transformation, transformation_of

pytestmark = pytest.mark.anyio


async def arriving(body: bytes) -> AsyncIterator[bytes]:
    yield body


@pytest.mark.parametrize(
    ("coding", "accepted", "undone"),
    [
        ("gzip", "gzip", ""),
        ("gzip", "zstd", "gzip"),
        ("zstd", "gzip, zstd;q=0", "zstd"),
        ("deflate, gzip", "gzip", "deflate, gzip"),
        ("br", "gzip", ""),  # nothing can be done about it
        ("", None, ""),
    ],
)
def test_a_coding_is_undone_if_it_can_be_and_the_viewer_does_not_accept_it(
    coding: str, accepted: str | None, undone: str
) -> None:
    assert transformation_of(Head(200, (), coding=coding), None, accepted).coding == undone


async def test_a_body_that_holds_more_than_any_study_ends() -> None:
    bomb = gzip.compress(bytes(1 << 20))
    size = 0
    with pytest.raises(OriginMismatch, match="more than 700000 bytes"):
        async for piece in Transformation("gzip", most=700_000).body(arriving(bomb)):
            size += len(piece)
    assert 0 < size <= 700_000
