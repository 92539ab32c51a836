"""The soak (`tests.soak`) runs, and notices wrong bytes and bytes for the wrong reader."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from tests.bench.soak import Soak, soaked
from tests.soak import frames
from tests.soak.judge import SLOWEST, TTL, Heard, Judge
from tests.soak.rights import KEEPERS, LIFE, UNKNOWN, generation, token

SHORT = Soak(minutes=0.05, viewers=8, planners=1, idle=240.0)
PATH = next(
    path
    for path in (frames.frame_path(0, number, 0) for number in range(frames.INSTANCES))
    if frames.nature(path).is_htj2k
)


@pytest.mark.slow
def test_a_short_soak_finds_nothing_wrong() -> None:
    outcome = soaked(SHORT)
    assert outcome.wrong() == [], outcome.judge.faults
    assert outcome.judge.statuses[206] > 0


@pytest.mark.slow
def test_a_wrong_byte_is_noticed() -> None:
    outcome = soaked(Soak(minutes=0.05, viewers=8, planners=0, idle=240.0, share=0.0, is_lying=True))
    assert any("wrong bytes" in each for each in outcome.wrong())
    assert outcome.judge.faults[0].startswith("wrong bytes: GET /studies/")


NATURE = frames.nature(PATH)
AT = 100.9 * NATURE.period - NATURE.phase
"""A time at which the frame has had the same version for longer than a copy is kept, in seconds."""


def heard(authorization: str = token(0, 0), at: float = AT, version_at: float = 0.0, **changed: Any) -> Heard:
    """A response that is right, or has the version of another time."""
    body = frames.body(PATH, frames.version(PATH, version_at or at))
    headers = httpx.Headers({"etag": '"1"', "content-length": str(len(body)), "content-type": "image/jphc"})
    whole: dict[str, Any] = {"status": 200, "headers": headers, "body": bytearray(body), "how": "whole"}
    return Heard((PATH,), authorization, at, {}, ended=at, **whole | changed)


def judged(response: Heard, ways: Sequence[str] = ()) -> dict[str, int]:
    """The counts of a judge that hears this response only."""
    judge = Judge()
    judge.hear(response, ways)
    return {kind: times for kind, times in judge.counts.items() if kind != "bytes"}


def test_a_right_response_is_nothing_to_tell() -> None:
    assert judged(heard()) == {}


def test_one_other_bit_is_wrong() -> None:
    response = heard()
    response.body[-1] ^= 1
    assert judged(response) == {"wrong bytes": 1}


def test_fewer_bytes_than_announced_are_wrong() -> None:
    response = heard()
    del response.body[-1]
    assert judged(response) == {"wrong bytes": 1}


def test_a_version_that_ended_before_the_copy_could_be_made_is_wrong() -> None:
    assert judged(heard(version_at=AT - NATURE.period)) == {"wrong bytes": 1}


def test_one_etag_names_one_version() -> None:
    judge = Judge()
    judge.hear(heard())
    judge.hear(heard(at=AT + NATURE.period))
    assert judge.counts["wrong bytes"] == 1


def test_a_response_for_who_may_not_is_noticed() -> None:
    assert judged(heard(UNKNOWN)) == {"for who may not": 1}


def test_a_token_may_be_used_as_long_as_a_copy_that_it_fetched() -> None:
    last = LIFE * 10 - LIFE / KEEPERS
    old = token(1, generation(1, last - 1))
    assert generation(1, last + 1) == generation(1, last - 1) + 1
    assert judged(heard(old, at=last + TTL + SLOWEST - 1)) == {}
    assert judged(heard(old, at=last + TTL + SLOWEST + 1)) == {"for who may not": 1}


@pytest.mark.parametrize(
    ("ways", "counted"),
    [
        ((), "cut without reason"),
        (("busy",), "cut without reason"),
        (("hung up",), "cut without reason"),
        (("failed",), "cut without reason"),
        (("hung up", "hung up"), "cut: hung up twice"),
    ],
)
def test_a_cut_needs_a_reason(ways: Sequence[str], counted: str) -> None:
    assert judged(heard(how="cut"), ways) == {counted: 1}
