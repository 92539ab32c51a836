import json
import re
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest

from proxy import errors
from proxy.errors import (
    OriginBusy,
    OriginChanged,
    OriginMismatch,
    OriginRefused,
    ProxyError,
    RangeNotSatisfiable,
    ShuttingDown,
)
from proxy.viewers.problem import send_problem
from proxy.wire.problem import STATUSES, status_of

pytestmark = pytest.mark.anyio

RAISED_BY_ITSELF = {
    OriginMismatch,
    errors.OriginTimeout,
    errors.CodestreamError,
    errors.ConfigurationError,
}
"""Errors that have subclasses and are raised themselves too."""


def tree(root: type[ProxyError] = ProxyError) -> Iterator[type[ProxyError]]:
    yield root
    for below in root.__subclasses__():
        yield from tree(below)


LEAVES = [kind for kind in tree() if not kind.__subclasses__()]


def made(kind: type[ProxyError], words: str = "what is wrong") -> ProxyError:
    """An error of a type, as it would be raised."""
    if issubclass(kind, OriginRefused):
        return OriginRefused(404)
    if kind is OriginBusy:
        return OriginBusy(503, 1.5)
    if kind is errors.NotUnderstood:
        return errors.NotUnderstood(1, words)
    if issubclass(kind, OriginMismatch):
        return kind(words, "length")
    return RangeNotSatisfiable(words, 100) if kind is RangeNotSatisfiable else kind(words)


class Answer:
    """The response as a server receives it."""

    def __init__(self) -> None:
        self.messages: list[MutableMapping[str, Any]] = []

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        assert [message["type"] for message in self.messages] == ["http.response.start", "http.response.body"]
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        pairs = [(name.decode(), value.decode("latin-1")) for name, value in self.messages[0]["headers"]]
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    @property
    def body(self) -> bytes:
        return bytes(self.messages[1]["body"])


async def answer_to(error: ProxyError, *, is_ranged: bool) -> Answer:
    answer = Answer()
    await send_problem(answer.send, error, "bytes=0-65535" if is_ranged else None)
    return answer


@pytest.mark.parametrize(
    ("asked", "told"),
    [("bytes=65536-", 65537), ("bytes=65536-99999", 100_000), ("bytes=0-9", None), ("-", None)],
)
async def test_an_error_to_a_later_range_is_not_taken_for_the_end(asked: str, told: int | None) -> None:
    answer = Answer()
    await send_problem(answer.send, OriginRefused(404), asked)
    assert answer.headers.get("content-range") == (None if told is None else f"bytes */{told}")


@pytest.mark.parametrize("kind", LEAVES)
async def test_every_leaf_of_the_tree_has_a_status(kind: type[ProxyError]) -> None:
    assert kind in STATUSES
    assert 400 <= status_of(made(kind)) <= 599


async def test_nothing_but_leaves_and_what_is_raised_by_itself_has_a_status() -> None:
    assert set(STATUSES) == set(LEAVES) | RAISED_BY_ITSELF


async def test_faults_of_the_viewer_are_4xx_and_all_others_5xx() -> None:
    for kind, status in STATUSES.items():
        assert (status < 500) is issubclass(kind, errors.RequestError), kind


async def test_every_error_of_the_house_is_in_the_tree() -> None:
    made_here = {each for each in vars(errors).values() if isinstance(each, type)}
    assert made_here == set(tree())


async def test_the_tree_is_drawn_as_it_stands() -> None:
    drawn = re.findall(r"^[\s│├└─]*([A-Z]\w+)(?:\s{2,}|$)", errors.__doc__ or "", re.MULTILINE)
    assert sorted(drawn) == sorted(kind.__name__ for kind in tree())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429])
async def test_a_refusal_of_the_origin_keeps_its_status_and_challenge(status: int) -> None:
    for is_ranged in (False, True):
        answer = await answer_to(OriginRefused(status, "Bearer realm=x"), is_ranged=is_ranged)
        assert (answer.status, answer.headers["www-authenticate"]) == (status, "Bearer realm=x")
        bare = await answer_to(OriginRefused(status), is_ranged=is_ranged)
        assert "www-authenticate" not in bare.headers


@pytest.mark.parametrize("kind", STATUSES)
async def test_an_error_is_told_as_problem_details(kind: type[ProxyError]) -> None:
    error = made(kind)
    answer = await answer_to(error, is_ranged=False)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["cache-control"] == "no-store"
    told = json.loads(answer.body)
    assert told == {"status": answer.status, "title": kind.__name__, "detail": str(error)}


@pytest.mark.parametrize("kind", STATUSES)
async def test_to_a_range_an_error_has_no_body_and_a_multipart_type(kind: type[ProxyError]) -> None:
    error = made(kind)
    answer = await answer_to(error, is_ranged=True)
    assert answer.status == status_of(error)
    assert answer.body == b""
    assert answer.headers["content-length"] == "0"
    assert answer.headers["content-type"].startswith("multipart/")
    assert answer.headers["problem"] == f"{kind.__name__}: {error}"
    assert answer.headers["cache-control"] == "no-store"


async def test_a_service_that_ends_says_when_to_come_again() -> None:
    for is_ranged in (False, True):
        assert (await answer_to(ShuttingDown("ending"), is_ranged=is_ranged)).headers["retry-after"] == "1"
        assert "retry-after" not in (await answer_to(made(OriginChanged), is_ranged=is_ranged)).headers


async def test_words_beyond_ascii_do_not_break_an_answer() -> None:
    error = errors.UnknownName("no profile „\u00fcbersicht\U0001f984“")
    ranged = await answer_to(error, is_ranged=True)
    assert ranged.headers["problem"].isascii()
    plain = await answer_to(error, is_ranged=False)
    assert json.loads(plain.body)["detail"] == str(error)


async def test_words_of_several_lines_do_not_break_a_header() -> None:
    answer = await answer_to(errors.ConfigurationError("f:1: a\r\nf:2: b"), is_ranged=True)
    assert not re.search(r"[\r\n]", answer.headers["problem"])


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_an_error_anew_is_the_same_without_its_frames(kind: type[ProxyError]) -> None:
    error = made(kind)
    error.__cause__ = ValueError()
    with pytest.raises(kind):
        raise error
    same = error.anew()
    assert (type(same), str(same), vars(same)) == (kind, str(error), vars(error))
    assert (same.__traceback__, same.__cause__, same.__context__) == (None, None, None)
