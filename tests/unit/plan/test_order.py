"""The order of fetches: checked by hand for small series, by an independent oracle for large ones."""

import random
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.codestream.reach import ResolutionTarget, Stop
from proxy.errors import ConfigurationError
from proxy.plan.names import STOCK, stock_text
from proxy.plan.plan import Fetch, Plan, ordered
from proxy.plan.profile import Profile, stock_profile
from proxy.plan.queue import StageCount
from proxy.plan.stages import FetchPart

FAST = settings(deadline=None, database=None)
K64 = 65536
Told = tuple[str, int, int, int | None]
"""Stage, image, start, stop."""

WHOLE_SERIES = {1: (0,), 2: (0, 1), 3: (0, 1, 2), 7: (0, 1, 2, 3, 4, 5, 6)}


def each(stage: str, images: tuple[int, ...], start: int, stop: int | None) -> list[Told]:
    return [(stage, image, start, stop) for image in images]


def first(stage: str, *images: int) -> list[Told]:
    return each(stage, images, 0, K64)


def rest(stage: str, *images: int) -> list[Told]:
    return each(stage, images, K64, None)


def whole(stage: str, *images: int) -> list[Told]:
    return each(stage, images, 0, None)


# By the rules: positions 0.5, 0, -1 are floor((N-1)/2), 0 and N-1; 4/3, 4/1, 4/2, 4/0 are every fourth image
# from there. First fetches go by the priority of stages. A stage's own images precede those that come from an
# earlier stage. A stage with nothing left to fetch does nothing. The error stage finds all images complete.
BY_HAND: dict[str, dict[int, list[Told]]] = {
    "single": {count: whole("initialImages", *images) for count, images in WHOLE_SERIES.items()},
    "streaming": {count: whole("initialImages", *images) for count, images in WHOLE_SERIES.items()},
    "jls": {count: whole("initialImages", *images) for count, images in WHOLE_SERIES.items()},
    "sequential": {
        count: [*first("lossySequential", *images), *rest("finalSequential", *images)]
        for count, images in WHOLE_SERIES.items()
    },
    "byteRange": {
        count: [*first("lossySequential", *images), *rest("finalSequential", *images)]
        for count, images in WHOLE_SERIES.items()
    },
    "jlsReduced": {
        count: [*whole("lossySequential", *images), *whole("finalSequential", *images)]
        for count, images in WHOLE_SERIES.items()
    },
    "htj2kReduced": {
        count: [*whole("lossySequential", *images), *whole("finalSequential", *images)]
        for count, images in WHOLE_SERIES.items()
    },
    "interleaved": {
        1: [*first("initialImages", 0), *rest("halfFull", 0)],
        2: [*first("initialImages", 0, 1), *rest("halfFull", 0), *rest("threeQuarterFull", 1)],
        3: [
            *first("initialImages", 1, 0, 2),
            *rest("quarterFull", 2),
            *rest("halfFull", 0),
            *rest("threeQuarterFull", 1),
        ],
        7: [
            *first("initialImages", 3, 0, 6),
            *first("halfThumb", 1, 5),
            *whole("quarterFull", 2),
            *rest("quarterFull", 6),
            *whole("halfFull", 4),
            *rest("halfFull", 0),
            *rest("threeQuarterFull", 1, 5),
            *rest("finalFull", 3),
        ],
    },
    "coarseInterleaved": {
        1: [*first("initialImages", 0), *rest("halfFull", 0)],
        2: [
            *first("initialImages", 0),
            *first("halfThumb", 1),
            *rest("halfFull", 0),
            *rest("threeQuarterFull", 1),
        ],
        3: [
            *first("initialImages", 1),
            *first("coarse64", 0),
            *whole("quarterFull", 2),
            *rest("halfFull", 0),
            *rest("threeQuarterFull", 1),
        ],
        7: [
            *first("initialImages", 3),
            *first("coarse64", 0),
            *first("halfThumb", 1, 5),
            *whole("quarterFull", 2, 6),
            *whole("halfFull", 4),
            *rest("halfFull", 0),
            *rest("threeQuarterFull", 1, 5),
            *rest("finalFull", 3),
        ],
    },
}

CASES = [(name, count) for name in BY_HAND for count in WHOLE_SERIES]


def told(fetch: Fetch) -> Told:
    start, stop = fetch.part.start, fetch.part.stop
    assert isinstance(start, int)
    assert stop is None or isinstance(stop, int)
    return fetch.stage, fetch.image, start, stop


def test_all_stock_profiles_are_worked_out_by_hand() -> None:
    assert set(BY_HAND) == set(STOCK)


@pytest.mark.parametrize(("name", "count"), CASES)
def test_the_order_of_small_series_by_hand(name: str, count: int) -> None:
    assert [told(fetch) for fetch in ordered(stock_profile(name), count)] == BY_HAND[name][count]


@dataclass
class Oracle:
    """The reference's pseudo code, unchanged: all requests in lists, each image's as a chain.

    It is independent of the proxy: it reads the configuration's own keys, and sorts everything that waits
    each time. One thing follows the proxy: an image that returns is ordered by when its last request started,
    not by when that ended.
    """

    config: dict[str, Any]
    count: int
    waiting: list[tuple[tuple[int, int, int], dict[str, Any]]] = field(default_factory=list)
    started: int = 0

    def __post_init__(self) -> None:
        chains: dict[int, list[dict[str, Any]]] = {}
        heads: list[list[dict[str, Any]]] = []
        for stage in self.config["stages"]:
            for image in self.images(stage):
                request = {"stage": stage, "image": image, "options": self.options(stage)}
                if image not in chains:
                    heads.append(chains.setdefault(image, []))
                chains[image].append(request)
        for place, chain in enumerate(heads, -len(heads)):
            self.arrive(chain, {"have": 0, "url": None, "sizes": None}, place)

    def images(self, stage: dict[str, Any]) -> Iterator[int]:
        if "positions" not in stage:
            yield from list(range(self.count))[stage.get("offset", 0) :: stage.get("decimate", 1)]
        for position in stage.get("positions", ()):
            if position < 0:
                yield self.count + position
            else:
                yield int((self.count - 1) * position) if position < 1 else position

    def options(self, stage: dict[str, Any]) -> dict[str, Any]:
        found = self.config.get("retrieveOptions", {})
        return dict(found.get(stage.get("retrieveType", "default"), found.get("default", {})))

    def arrive(self, chain: list[dict[str, Any]], data: dict[str, Any], place: int) -> None:
        """Queues the first request of a chain that has something to fetch."""
        while chain:
            stage, options = chain[0]["stage"], chain[0]["options"]
            url = (options.get("framesPath"), options.get("urlArguments"))
            now: dict[str, Any] = dict(data) if url == data["url"] else {"have": 0, "url": url, "sizes": None}
            if "rangeIndex" in options and now["sizes"] is None:
                now["sizes"] = options.get("initialChunkSize"), options.get("chunkSize")
            stop = self.stop(options.get("rangeIndex", -1), now["sizes"])
            if now["have"] != "all" and (stop is None or stop > now["have"]):
                types = ["interaction", "thumbnail", "prefetch", "compute"]
                order = types.index(stage.get("requestType", "interaction")), stage.get("priority", -5)
                self.waiting.append(((*order, place), {"chain": chain, "data": now, "stop": stop}))
                return
            chain.pop(0)

    def stop(self, index: int, sizes: tuple[Any, Any] | None) -> int | None:
        if index == -1 or sizes is None:
            return None
        initial, chunk = (64 * 1024 if size == "64KiB" else size for size in sizes)
        return initial + index * (chunk or 131072) if initial else (index + 1) * (chunk or 65536)

    def next(self) -> dict[str, Any] | None:
        if not self.waiting:
            return None
        place = min(self.waiting, key=lambda pair: pair[0])
        self.waiting.remove(place)
        self.started += 1
        return {**place[1], "started": self.started}

    def ended(self, request: dict[str, Any], ok: bool) -> None:
        done = request["chain"].pop(0)
        data = request["data"]
        if ok:
            data["have"] = "all" if request["stop"] is None else request["stop"]
        is_full = done["options"].get("imageQualityStatus", 8) in (8, "FULL_RESOLUTION")
        if not (data["have"] == "all" and ok and is_full):
            self.arrive(request["chain"], data, request["started"])

    @staticmethod
    def told(request: dict[str, Any]) -> Told:
        head = request["chain"][0]
        return head["stage"]["id"], head["image"], request["data"]["have"], request["stop"]


def walk(
    profile: Profile,
    config: dict[str, Any],
    count: int,
    window: int,
    luck: Callable[[], bool],
    pick: Callable[[int], int] = lambda _: 0,
) -> list[Told]:
    """Runs plan and oracle side by side with several fetches in flight. `pick` ends one, sometimes with a
    failure."""
    plan, oracle = Plan(profile, count), Oracle(config, count)
    in_flight: list[tuple[Fetch, dict[str, Any]]] = []
    seen = []
    while True:
        while len(in_flight) < window:
            fetch, request = plan.next(), oracle.next()
            if fetch is None or request is None:
                assert fetch is None
                assert request is None
                break
            assert told(fetch) == oracle.told(request)
            seen.append(told(fetch))
            in_flight.append((fetch, request))
        if not in_flight:
            assert plan.is_done
            return seen
        fetch, request = in_flight.pop(pick(len(in_flight)))
        ok = luck()
        plan.ended(fetch, is_whole=ok and fetch.part.stop is None, ok=ok)
        oracle.ended(request, ok)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 174, 1000])
@pytest.mark.parametrize("name", STOCK)
@pytest.mark.parametrize("window", [1, 6])
def test_the_order_is_that_of_the_pseudo_code(name: str, count: int, window: int) -> None:
    config = yaml.safe_load(stock_text(name))
    seen = walk(stock_profile(name), config, count, window, lambda: True)
    if window == 1:
        assert [told(fetch) for fetch in ordered(stock_profile(name), count)] == seen


@pytest.mark.parametrize("count", [174, 1000])
@pytest.mark.parametrize("name", STOCK)
def test_a_large_series_is_fetched_whole_and_nothing_twice(name: str, count: int) -> None:
    have: dict[tuple[str | None, int], Stop | None] = {}
    for fetch in ordered(stock_profile(name), count):
        key = fetch.frames_path, fetch.image
        assert fetch.part.start == have.get(key, 0)
        have[key] = fetch.part.stop
    assert set(have.values()) == {None}
    assert {image for _, image in have} == set(range(count))


STAGES = st.lists(
    st.fixed_dictionaries(
        {"id": st.sampled_from("abc")},
        optional={
            "positions": st.lists(st.sampled_from([0, 0.3, 0.5, 1, 2, -1, -2, 0.99]), max_size=4),
            "decimate": st.integers(1, 5),
            "offset": st.integers(0, 4),
            "retrieveType": st.sampled_from(["one", "two", "three", "other"]),
            "requestType": st.sampled_from(["interaction", "thumbnail", "prefetch", "compute"]),
            "priority": st.integers(-1, 1),
        },
    ),
    min_size=1,
    max_size=7,
)
OPTIONS = st.dictionaries(
    st.sampled_from(["one", "two", "three", "default"]),
    st.fixed_dictionaries(
        {},
        optional={
            "rangeIndex": st.integers(-1, 4),
            "chunkSize": st.sampled_from([0, 1, 1000, 65536]),
            "initialChunkSize": st.sampled_from([0, 1, 1000]),
            "framesPath": st.sampled_from(["/jls/", "/lossy/"]),
            "urlArguments": st.just("accept=image/jphc"),
            "imageQualityStatus": st.sampled_from([6, 7, 8, "LOSSY", "FULL_RESOLUTION"]),
        },
    ),
)


@pytest.mark.slow
@settings(FAST, max_examples=300)
@given(STAGES, OPTIONS, st.integers(3, 12), st.integers(1, 5), st.integers(0, 9))
def test_any_configuration_runs_as_the_pseudo_code_does(
    stages: list[dict[str, Any]], options: dict[str, Any], count: int, window: int, seed: int
) -> None:
    config = {"stages": stages, "retrieveOptions": options}
    dice = random.Random(seed)
    walk(Profile.model_validate(config), config, count, window, lambda: dice.random() < 0.7, dice.randrange)


def profile(*stages: dict[str, Any], **keys: Any) -> Profile:
    options = {"fast": {"rangeIndex": 0}, "final": {"rangeIndex": -1}}
    return Profile.model_validate({"stages": stages, "retrieveOptions": options, **keys})


FAST_THEN_FINAL = ({"id": "a", "retrieveType": "fast"}, {"id": "b", "retrieveType": "final"})


def due(plan: Plan) -> list[Fetch]:
    """All fetches that may start now."""
    return list(iter(plan.next, None))


def test_an_image_goes_on_without_waiting_for_the_others() -> None:
    plan = Plan(profile(*FAST_THEN_FINAL), 3)
    zero, one, _ = due(plan)
    assert plan.next() is None
    plan.ended(one, is_whole=False, ok=True)
    assert [told(fetch) for fetch in due(plan)] == [("b", 1, K64, None)]
    plan.ended(zero, is_whole=False, ok=True)
    assert [told(fetch) for fetch in due(plan)] == [("b", 0, K64, None)]


def test_a_barrier_waits_until_earlier_stages_have_ended_for_all() -> None:
    plan = Plan(profile(FAST_THEN_FINAL[0], {**FAST_THEN_FINAL[1], "barrier": True}), 3)
    zero, one, two = due(plan)
    plan.ended(two, is_whole=False, ok=True)
    plan.ended(zero, is_whole=False, ok=False)
    assert plan.next() is None
    assert not plan.is_done
    plan.ended(one, is_whole=True, ok=True)
    assert [told(fetch) for fetch in due(plan)] == [("b", 0, 0, None), ("b", 2, K64, None)]


def test_a_barrier_holds_its_own_images_too_and_no_other_stage() -> None:
    stages = (
        {"id": "a", "positions": [0], "retrieveType": "fast"},
        {"id": "b", "decimate": 2, "barrier": True, "priority": -9},
        {"id": "c"},
    )
    plan = Plan(profile(*stages), 3)
    zero, one = due(plan)
    assert (told(zero), told(one)) == (("a", 0, 0, K64), ("c", 1, 0, None))
    plan.ended(zero, is_whole=False, ok=True)
    assert [told(fetch) for fetch in due(plan)] == [("b", 2, 0, None), ("b", 0, K64, None)]


def test_a_whole_frame_skips_the_rest_of_its_stages() -> None:
    plan = Plan(profile(*FAST_THEN_FINAL, {"id": "error"}), 1)
    [fetch] = due(plan)
    over = plan.ended(fetch, is_whole=True, ok=True)
    assert [(count.stage, count.images, count.failures) for count in over] == [
        ("a", 1, 0), ("b", 1, 0), ("error", 1, 0),
    ]  # fmt: skip
    assert plan.is_done
    assert plan.next() is None


def test_a_failed_stage_leads_on_to_the_next_from_what_is_there() -> None:
    plan = Plan(profile(*FAST_THEN_FINAL, {"id": "error"}), 2)
    zero, one = due(plan)
    assert plan.ended(zero, is_whole=False, ok=False) == ()
    assert plan.ended(one, is_whole=False, ok=True) == (StageCount("a", 2, 1, 2),)
    zero, one = due(plan)
    assert (told(zero), told(one)) == (("b", 0, 0, None), ("b", 1, K64, None))
    plan.ended(one, is_whole=False, ok=False)
    [again] = due(plan)
    assert told(again) == ("error", 1, K64, None)
    plan.ended(again, is_whole=False, ok=False)
    assert [count.failures for count in plan.stages] == [1, 1, 1]
    assert not plan.is_done
    assert plan.ended(zero, is_whole=True, ok=True) == (
        StageCount("b", 2, 1, 2),
        StageCount("error", 2, 1, 2),
    )
    assert plan.is_done


def test_an_alternate_of_lesser_quality_does_not_end_an_image() -> None:
    plan = Plan(stock_profile("jlsReduced"), 1)
    [small] = due(plan)
    plan.ended(small, is_whole=True, ok=True)
    [full] = due(plan)
    assert (small.frames_path, full.frames_path, full.part.start) == ("/jlsThumbnail/", "/jls/", 0)


def test_a_lossy_range_that_had_everything_leaves_nothing_to_get() -> None:
    options = {"fast": {"rangeIndex": 0, "imageQualityStatus": "LOSSY"}, "final": {"rangeIndex": -1}}
    plan = Plan(profile(*FAST_THEN_FINAL, retrieveOptions=options), 1)
    [fetch] = due(plan)
    assert [count.stage for count in plan.ended(fetch, is_whole=True, ok=True)] == ["a", "b"]
    assert plan.is_done


def test_first_cuts_a_plain_request_in_two_and_all_first_fetches_go_first() -> None:
    told_all = [told(fetch) for fetch in ordered(profile({"id": "a"}, first=4096), 2)]
    assert told_all == [("a", 0, 0, 4096), ("a", 1, 0, 4096), ("a", 0, 4096, None), ("a", 1, 4096, None)]


def test_with_first_all_first_fetches_go_first_whatever_their_stage() -> None:
    """Otherwise every second slice of `interleaved` would appear only once the slices before it are
    complete."""
    config = yaml.safe_load(stock_text("interleaved")) | {"first": "1/4"}
    parts = [fetch.part for fetch in ordered(Profile.model_validate(config), 174)]
    assert parts == [FetchPart(0, ResolutionTarget(4))] * 174 + [FetchPart(ResolutionTarget(4), None)] * 174


def test_on_demand_leaves_completions_to_viewers() -> None:
    fetches = ordered(profile(*FAST_THEN_FINAL, complete="on-demand"), 2)
    assert [told(fetch) for fetch in fetches] == [("a", 0, 0, K64), ("a", 1, 0, K64)]


def test_a_stage_that_names_an_image_twice_gets_it_once_and_counts_it_twice() -> None:
    plan = Plan(profile({"id": "a", "positions": [0, 0, -1]}), 1)
    [fetch] = due(plan)
    assert plan.ended(fetch, is_whole=True, ok=True) == (StageCount("a", 3, 0, 3),)
    assert plan.is_done


def test_options_are_those_of_the_transfer_syntax() -> None:
    options = {"single": {"default": {"streaming": True}, "1.2.840.10008.1.2.4.202": {"rangeIndex": 0}}}
    chosen = Profile.model_validate({"retrieveOptions": options})
    spans = [
        [fetch.part.stop for fetch in ordered(chosen, 1, syntax)]
        for syntax in (None, "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.202")
    ]
    assert spans == [[None], [None], [K64]]


def test_a_missing_position_names_its_stage() -> None:
    with pytest.raises(ConfigurationError, match=r"^stage far: no image at position 7 of 7$"):
        Plan(profile({"id": "all"}, {"id": "far", "positions": [7]}), 7)


def test_a_series_without_images_is_done() -> None:
    plan = Plan(profile(*FAST_THEN_FINAL), 0)
    assert plan.is_done
    assert plan.next() is None


def test_a_fetch_ends_once() -> None:
    plan = Plan(profile({"id": "a"}), 1)
    [fetch] = due(plan)
    plan.ended(fetch, is_whole=True, ok=True)
    with pytest.raises(ValueError, match="stage a, image 0: this fetch is not in flight"):
        plan.ended(fetch, is_whole=True, ok=True)


@pytest.mark.parametrize("name", STOCK)
def test_a_plan_lists_no_image_when_it_is_made(name: str) -> None:
    peaks = []
    for _ in range(5):  # what an earlier test has left behind may take memory meanwhile
        tracemalloc.start()
        try:
            Plan(stock_profile(name), 10**9)  # any pass over the images would take minutes
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert min(peaks) < 200_000


@pytest.mark.parametrize("name", STOCK)
def test_no_step_looks_at_all_images(name: str) -> None:
    plan = Plan(stock_profile(name), 10**9)  # any pass over the images would take minutes
    for _ in range(20):
        fetch = plan.next()
        assert fetch is not None
        plan.ended(fetch, is_whole=fetch.part.stop is None, ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", STOCK)
def test_a_plan_holds_what_is_in_flight_however_long_the_series(name: str) -> None:
    most = _peak_of_a_walk(name, 1_000) + 20_000  # a list of what waits would take at least 4 bytes per image
    # What an earlier test has left behind may take memory meanwhile, in some of the walks.
    assert any(_peak_of_a_walk(name, 10_000) < most for _ in range(5))


def _peak_of_a_walk(name: str, count: int) -> int:
    dice = random.Random(1)
    tracemalloc.start()
    try:
        plan, in_flight = Plan(stock_profile(name), count), list[Fetch]()
        while not plan.is_done:
            while len(in_flight) < 6 and (fetch := plan.next()) is not None:
                in_flight.append(fetch)
            fetch = in_flight.pop(dice.randrange(len(in_flight)))
            plan.ended(fetch, is_whole=fetch.part.stop is None, ok=True)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
