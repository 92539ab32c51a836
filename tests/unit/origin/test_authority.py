"""A server that decides about callers has little time for its answer."""

import asyncio

import pytest

from proxy.errors import AuthorityTimeout
from proxy.origin.authority import LIMITS, Authority
from proxy.origin.transport import Transport
from proxy.wire.via import Via
from tests.scripted_origin import Reply, ScriptedOrigin, running

pytestmark = pytest.mark.anyio


async def test_an_answer_that_does_not_end_counts_as_none() -> None:
    server = ScriptedOrigin(script=lambda asked: Reply(200, {"content-length": "2"}, (b"x", asyncio.Event())))
    async with running(server):
        authority = Authority("the authorizer", Transport(LIMITS), Via(), seconds=0.05)
        with pytest.raises(AuthorityTimeout, match="the authorizer did not answer in time"):
            await authority.get(f"{server.url}/auth", ())
        await authority.aclose()
