"""Tokens that a token server issues to the proxy: renewed ahead of their end, and once for all who wait."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import pytest

from proxy.origin.credentials import OwnCredentials
from proxy.origin.issued import AGAIN_AFTER, MARGIN, REFUSED_AGAIN_AFTER, IssuedTokens
from tests.house import House, house
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, codestream, frame_of, running
from tests.token_server import SECRET, TokenServer, form_of

pytestmark = pytest.mark.anyio

BODIES = [codestream(3000, seed) for seed in range(8)]
SINGLE = {"accept": "image/jphc", "authorization": "Bearer of-a-viewer"}
SEARCH = "/studies?PatientName=A"


@dataclass
class Clinic:
    """An origin that lets in only who has a good token, the token server, and the proxy before them."""

    home: House
    server: TokenServer
    tokens: IssuedTokens
    good: set[str]
    now: float = 0.0

    async def search(self) -> int:
        """The status of a search, which is forwarded."""
        return (await self.home.viewer.get(SEARCH, headers=SINGLE)).status_code

    @property
    def used(self) -> str:
        """The token of the last request at the origin."""
        return self.home.origin.asked[-1].headers["authorization"].removeprefix("Bearer ")

    async def until_renewed(self, issued: int) -> None:
        """Waits until that many tokens were issued, and the last one is taken."""
        await self.home.until(lambda: self.server.issued >= issued and self.tokens._asking is None)


@dataclass
class Guard:
    """Lets in requests with a good token."""

    good: set[str] = field(default_factory=lambda: {f"token-{number}" for number in range(1, 99)})

    def __call__(self, asked: Asked) -> Reply | None:
        kind, _, token = asked.headers.get("authorization", "").partition(" ")
        return None if kind == "Bearer" and token in self.good else Reply(401, {"www-authenticate": "Bearer"})


@asynccontextmanager
async def clinic(folder: Path, server: TokenServer, **more: Any) -> AsyncIterator[Clinic]:
    guard = Guard()
    origin = ScriptedOrigin(script=guard).with_series(BODIES)
    async with running(server):
        section = await asyncio.to_thread(server.settings, folder, **more)
        keeps_nothing, own = {"study_bytes": 0}, {"oauth2": section}
        async with house(origin, origin={"credentials": own}, cache=keeps_nothing) as home:
            auth = home.app.origins["pacs"].plain._exchange._auth
            assert isinstance(auth, OwnCredentials)
            tokens = auth._secret
            assert isinstance(tokens, IssuedTokens)
            assert tokens._held is not None
            sent = tokens._held.until + MARGIN - 3600
            at = Clinic(home, server, tokens, guard.good, sent if isfinite(sent) else 0.0)
            tokens._clock = lambda: at.now
            yield at


async def test_the_origin_gets_the_token_instead_of_the_viewer_s(tmp_path: Path) -> None:
    async with clinic(tmp_path, TokenServer(), scope="dicom:read dicom:search") as at:
        assert (await at.home.viewer.get(frame_of(0), headers=SINGLE)).content == BODIES[0]
        assert await at.search() == 200
        assert {asked.headers["authorization"] for asked in at.home.origin.asked} == {"Bearer token-1"}
        (asked,) = at.server.asked
        assert form_of(asked) == {"grant_type": "client_credentials", "scope": "dicom:read dicom:search"}


async def test_all_who_wait_for_a_token_share_one_question(tmp_path: Path) -> None:
    barrier, server = asyncio.Event(), TokenServer()
    async with clinic(tmp_path, server) as at:
        server.before, at.now = [barrier], at.now + 3600
        asking = [
            asyncio.create_task(at.home.viewer.get(frame_of(each), headers=SINGLE)) for each in range(8)
        ]
        await at.home.until_inside(8)
        await at.home.until(lambda: len(server.asked) == 2)
        asking.pop().cancel()  # a viewer that leaves does not end it for the others
        barrier.set()
        assert [answer.content for answer in await asyncio.gather(*asking)] == BODIES[:7]
        assert (len(server.asked), at.used) == (2, "token-2")


async def test_a_token_is_renewed_before_it_ends_and_nobody_waits_for_that(tmp_path: Path) -> None:
    barrier, server = asyncio.Event(), TokenServer()
    async with clinic(tmp_path, server) as at:
        at.now += 3600 * 0.75 - 1
        assert (await at.search(), server.issued) == (200, 1)
        server.before, at.now = [barrier], at.now + 2
        assert [await at.search() for _ in range(3)] == [200] * 3
        assert at.used == "token-1"
        await at.home.until(lambda: len(server.asked) == 2)
        barrier.set()
        await at.until_renewed(2)
        assert (await at.search(), at.used, len(server.asked)) == (200, "token-2", 2)


async def test_while_the_token_server_is_away_a_good_token_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = TokenServer()
    async with clinic(tmp_path, server) as at:
        server.is_down, at.now = True, at.now + 3000
        with caplog.at_level(logging.INFO, "proxy.origin.issued"):
            for _ in range(3):
                assert (await at.search(), at.used) == (200, "token-1")
                await at.home.until(lambda: at.tokens._asking is None)
                at.now += AGAIN_AFTER
            assert len(server.asked) == 1 + 3
            at.now += 600  # it has ended
            answer = await at.home.viewer.get(SEARCH)
            assert (answer.status_code, answer.json()["title"]) == (502, "NoToken")
            asked = len(server.asked)
            assert (await at.search(), len(server.asked)) == (502, asked)  # not asked again at once
            server.is_down, at.now = False, at.now + AGAIN_AFTER
            assert (await at.search(), at.used) == (200, "token-2")
        words = ["no new token; the one held stays until it ends", "the token server issues tokens again"]
        assert [each.getMessage() for each in caplog.records if each.name == "proxy.origin.issued"] == words
    assert SECRET not in caplog.text
    assert "token-" not in caplog.text


async def test_a_token_server_that_is_away_says_nothing_of_the_origin(tmp_path: Path) -> None:
    server = TokenServer()
    async with clinic(tmp_path, server) as at:
        assert at.home.metric("origin_up", origin="pacs") == 1
        server.is_down, at.now = True, at.now + 3600
        for _ in range(9):
            assert await at.search() == 502
        assert (await at.home.viewer.get(frame_of(0), headers=SINGLE)).status_code == 502
        assert at.home.metric("origin_up", origin="pacs") == 1
        assert not at.home.app.origins["pacs"].health.is_doubted


async def test_a_token_that_the_origin_takes_back_is_renewed_once(tmp_path: Path) -> None:
    server = TokenServer()
    async with clinic(tmp_path, server) as at:
        at.good.discard("token-1")
        answers = await asyncio.gather(
            *(at.home.viewer.get(frame_of(each), headers=SINGLE) for each in range(8))
        )
        assert [answer.content for answer in answers] == BODIES
        assert server.issued == 2


async def test_an_origin_that_refuses_each_token_does_not_wear_out_the_token_server(tmp_path: Path) -> None:
    server = TokenServer()
    async with clinic(tmp_path, server) as at:
        at.good.clear()
        answer = await at.home.viewer.get(SEARCH, headers=SINGLE)
        assert (answer.status_code, answer.json()["title"]) == (502, "OriginFailed")
        assert "www-authenticate" not in answer.headers
        assert [await at.search() for _ in range(5)] == [502] * 5
        assert server.issued == 2
        at.now += REFUSED_AGAIN_AFTER
        assert (await at.search(), server.issued) == (502, 3)


async def test_an_upload_that_was_refused_is_not_sent_again_but_the_next_one_has_a_new_token(
    tmp_path: Path,
) -> None:
    async with clinic(tmp_path, TokenServer()) as at:
        at.good.discard("token-1")
        sent = [await at.home.viewer.post("/studies", content=b"x") for _ in range(2)]
        assert [answer.status_code for answer in sent] == [502, 404]
        assert [asked.headers["authorization"][7:] for asked in at.home.origin.asked[-2:]] == [
            "token-1",
            "token-2",
        ]


async def test_without_expires_in_a_token_counts_until_the_origin_refuses_it(tmp_path: Path) -> None:
    server = TokenServer(expires_in=None)
    async with clinic(tmp_path, server) as at:
        at.now += 1e9
        assert (await at.search(), at.used) == (200, "token-1")
        at.good.discard("token-1")
        assert (await at.search(), at.used) == (200, "token-2")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"access_token": None}, "sent no access_token"),
        ({"access_token": "a b"}, "sent no access_token"),
        ({"access_token": "a\r\nx: y"}, "sent no access_token"),
        ({"token_type": "mac"}, "sent a token that is no bearer token"),
        ({"token_type": None}, "sent a token that is no bearer token"),
        ({"expires_in": 0}, "sent an expires_in that is not a number of seconds"),
        ({"expires_in": "soon"}, "sent an expires_in that is not a number of seconds"),
        ({"expires_in": "Infinity"}, "sent an expires_in that is not a number of seconds"),
        ({"expires_in": True}, "sent an expires_in that is not a number of seconds"),
        ({"expires_in": [9]}, "sent an expires_in that is not a number of seconds"),
    ],
)
async def test_what_is_no_token_is_not_used(tmp_path: Path, told: dict[str, Any], words: str) -> None:
    server = TokenServer()
    async with clinic(tmp_path, server) as at:
        server.told, at.now = told, at.now + 3600
        answer = await at.home.viewer.get(SEARCH)
        assert answer.status_code == 502
        assert answer.json()["detail"] == f"no token for the origin: the token server {words}"


async def test_a_text_of_the_token_server_is_in_no_message(tmp_path: Path) -> None:
    server = TokenServer()
    async with clinic(tmp_path, server) as at:
        at.now += 3600
        server.script = lambda asked: Reply(400, {}, (b'{"error": "Mr. Smith"}',))
        answer = await at.home.viewer.get(SEARCH)
        assert answer.json()["detail"] == "no token for the origin: the token server answered 400"


async def test_a_secret_that_changed_is_used_for_the_next_question(tmp_path: Path) -> None:
    async with clinic(tmp_path, TokenServer()) as at:
        (tmp_path / "secret").write_text("another")
        at.tokens._secret.look_every = 0.0  # it is always time to look at the file
        at.now += 3600
        answer = await at.home.viewer.get(SEARCH)
        words = "no token for the origin: the token server answered 401: invalid_client"
        assert answer.json()["detail"] == words
        at.now += AGAIN_AFTER
        await asyncio.to_thread(at.server.settings, tmp_path)
        assert (await at.search(), at.used) == (200, "token-2")
