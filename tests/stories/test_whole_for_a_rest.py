"""An origin that answers the first range with 206 and later ones with all of the frame, without a validator.

The proxy compares the bytes that it holds with the ones that come. If they are equal, nobody notices. If they
are not, no viewer gets two versions in one.
"""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.codestreams import PARTS, htj2k, picture
from tests.house import house
from tests.scripted_origin import FRAME, LABEL, Asked, Reply, ScriptedOrigin, honest

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
FIRST, REST = SINGLE | {"range": "bytes=0-65535"}, SINGLE | {"range": "bytes=65536-"}
LAZY: dict[str, Any] = {"profiles": {"lazy": {"first": "64KiB", "complete": "on-demand"}}, "profile": "lazy"}
TINY: dict[str, Any] = {"cache": {"bytes": "1MiB", "first_share": 1.0}}
BODY, OTHER = (htj2k(picture(700, 700, seed=seed), **PARTS) for seed in (1, 2))


class Forgetful(ScriptedOrigin):
    """An origin that knows ranges only as long as they begin at 0."""

    def __init__(self, etags: tuple[str, str]) -> None:
        super().__init__(script=self._answer)
        self.body = BODY
        self._etags = iter(etags)

    def _answer(self, asked: Asked) -> Reply | None:
        if asked.path != FRAME:
            return None
        is_first = asked.range is not None and asked.range.startswith("bytes=0-")
        plain = replace(asked, headers={name: v for name, v in asked.headers.items() if name != "range"})
        return honest(self.body, asked if is_first else plain, etag=next(self._etags, ""), label=LABEL)


@pytest.mark.parametrize("etags", [("", ""), ('W/"a"', 'W/"b"'), ('W/"a"', ""), ("", '"a"')])
@pytest.mark.parametrize("settings", [{}, LAZY], ids=["completed", "lazy"])
async def test_the_same_version_is_completed_out_of_the_whole(
    etags: tuple[str, str], settings: dict[str, Any]
) -> None:
    origin = Forgetful(etags)
    async with house(origin, **settings) as home:
        first = await home.viewer.get(FRAME, headers=FIRST)
        rest = await home.viewer.get(FRAME, headers=REST)
        assert (first.status_code, rest.status_code) == (206, 206)
        assert first.content + rest.content == BODY
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY


async def test_viewers_who_read_on_are_not_cut() -> None:
    origin = Forgetful(("", ""))
    async with house(origin) as home:
        asking = [asyncio.ensure_future(home.viewer.get(FRAME, headers=SINGLE)) for _ in range(3)]
        asking.append(asyncio.ensure_future(home.viewer.get(FRAME, headers=SINGLE | {"range": "bytes=0-"})))
        assert {(await each).content for each in asking} == {BODY}


@pytest.mark.parametrize("settings", [{}, LAZY], ids=["completed", "lazy"])
async def test_another_version_is_never_appended(settings: dict[str, Any]) -> None:
    origin = Forgetful(("", ""))
    async with house(origin, **settings) as home:
        first = await home.viewer.get(FRAME, headers=FIRST)
        await home.until_idle()
        origin.body = OTHER[: len(BODY)].ljust(len(BODY), b"\0")
        answers = [await home.viewer.get(FRAME, headers=headers) for headers in (REST, SINGLE, REST, SINGLE)]
        whole = first.content + BODY[65536:]
        for answer in answers:
            if answer.status_code == 206:
                assert answer.content in (whole[65536:], origin.body[65536:])
            elif answer.status_code == 200:
                assert answer.content in (whole, origin.body)


async def test_the_next_frames_of_the_series_are_fetched_whole() -> None:
    """One request that brought too much is enough to learn from."""
    origin = Forgetful(("", ""))
    async with house(origin, **LAZY) as home:
        await home.viewer.get(FRAME, headers=FIRST)
        await home.viewer.get(FRAME, headers=REST)
        assert origin.ranges == ["bytes=0-65535", "bytes=65536-"]
