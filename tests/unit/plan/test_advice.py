"""Advice on profiles: each rule finds its mistake, and finds nothing in the stock profiles."""

from typing import Any

import pytest

from proxy.plan.advice import advice
from proxy.plan.names import STOCK
from proxy.plan.plan import ordered
from proxy.plan.profile import Profile, stock_profile
from proxy.plan.spread import viewers_stages

FAST: dict[str, Any] = {"rangeIndex": 0}
FINAL: dict[str, Any] = {"rangeIndex": -1}
TWO = [{"id": "a", "retrieveType": "fast"}, {"id": "b", "retrieveType": "final"}]


def advice_on(count: int = 10, **keys: Any) -> list[str]:
    profile = Profile.model_validate(keys)
    return advice(profile, count, list(ordered(profile, count)))


@pytest.mark.parametrize("name", STOCK)
def test_the_stock_profiles_are_as_they_are_meant(name: str) -> None:
    profile = stock_profile(name)
    assert advice(profile, 174, list(ordered(profile, 174))) == []


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"stages": [{"id": "a", "decimate": 4}]}, "7 of 10 images are fetched by no stage"),
        (
            {"stages": TWO[:1], "retrieveOptions": {"fast": FAST}},
            "10 of 10 images are incomplete when the plan ends: no stage fetches the rest",
        ),
        (
            {"stages": TWO, "retrieveOptions": {"fast": FAST, "finl": FINAL}},
            "stage b: it fetches whole images, as retrieveOptions has no final; did you mean finl? "
            "Its keys are fast, finl",
        ),
        (
            {"stages": TWO, "retrieveOptions": {"fast": FAST, "final": FINAL, "more": FINAL}},
            "retrieveOptions.more: no stage uses it",
        ),
        (
            {"stages": [{"id": "a"}, {"id": "b", "decimate": 2, "offset": 10}]},
            "stage b: it selects none of 10 images",
        ),
        (
            {"stages": [{"id": "a", "positions": [0, 0.5, 1]}, {"id": "b"}]},
            "stage a: position 1 is the second image; the last one is -1",
        ),
        (
            {
                "stages": TWO,
                "retrieveOptions": {"fast": FAST | {"framesPath": "/lossy/"}, "final": FINAL},
            },
            "stage b: another framesPath or urlArguments than before, so 10 images begin again from byte 0",
        ),
        (
            {
                "stages": [*TWO[:1], {"id": "m", "retrieveType": "middle"}, *TWO[1:]],
                "retrieveOptions": {
                    "fast": FAST | {"chunkSize": 1024},
                    "middle": {"rangeIndex": 3, "chunkSize": 2048},
                    "final": FINAL,
                },
            },
            "retrieveOptions.middle: its chunk sizes have no effect, as an image's first range decides",
        ),
        (
            {"stages": TWO, "retrieveOptions": {"fast": FAST, "final": FINAL | {"msBetweenDecode": 500}}},
            "retrieveOptions.final.msBetweenDecode: only viewers use it; the proxy ignores it",
        ),
    ],
)
def test_a_mistake_is_named(keys: dict[str, Any], words: str) -> None:
    assert advice_on(**keys)[:1] == [words]


def test_a_name_that_is_missing_beside_one_left_over_is_named_with_it() -> None:
    found = advice_on(stages=TWO, retrieveOptions={"fast": FAST, "finl": FINAL})
    assert [words.partition(":")[0] for words in found] == ["stage b", "retrieveOptions.finl"]


def test_whole_images_before_the_first_bytes_of_others_are_named() -> None:
    """The viewer's own stages do so, and the stock profile of the same name does not."""
    viewers = viewers_stages()["interleavedRetrieveStages"]
    options = {"multipleFast": FAST, "multipleFinal": FINAL}
    found = advice_on(174, stages=viewers["stages"], retrieveOptions=options)
    assert found == ["stage initialImages: it fetches whole images (3) before the first bytes of 86 others"]


def test_rests_that_are_left_to_viewers_are_no_mistake() -> None:
    assert advice_on(first="64KiB", complete="on-demand") == []
