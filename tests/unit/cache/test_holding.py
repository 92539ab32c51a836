"""The table of resources beside frames: what a change drops, what is bounded, how long each is used."""

import pytest

from proxy.cache.holding import AGAIN, MOST_FORMS, NAMES_LEFT, Holding, Terms
from proxy.cache.kept import Ledger
from proxy.cache.representation import Head, Representation
from proxy.frame.identity import Lease
from proxy.frame.key import ResourceKey
from proxy.frame.scope import FrameScope
from proxy.wire.dicomweb import Kind, StudyResource, parse_study_path

TERMS = Terms(study_ttl=30, study_stale=300, search_ttl=3)
PATHS = (
    "studies",
    "studies/1/metadata",
    "studies/1/series/2/metadata",
    "studies/1/series/2/instances/3",
    "studies/1/series/9/metadata",
    "studies/5/series",
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def holding_of(clock: Clock | None = None, ledger: Ledger | None = None) -> Holding:
    return Holding(TERMS, ledger, clock or Clock())


def key_of(path: str, query: str = "", partition: bytes = b"", origin: str = "pacs") -> ResourceKey:
    resource = parse_study_path(path)
    assert resource is not None
    return ResourceKey(origin, partition, resource, path + query, "*/*")


def response(size: int = 10, lease: Lease | None = None, *, may_be_stale: bool = True) -> Representation:
    head = Head(200, (), lease=lease or Lease(), is_kept=True, is_shared=True, may_be_stale=may_be_stale)
    return Representation(head, (bytes(size),), "digest")


def put(holding: Holding, key: ResourceKey, what: Representation | None = None) -> None:
    holding.put(key, what or response(), b"", frozenset())


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        (FrameScope("pacs"), set()),
        (FrameScope("other"), set(PATHS)),
        (FrameScope("pacs", "1"), {"studies/5/series"}),
        (FrameScope("pacs", "1", "2"), {"studies/5/series", "studies/1/series/9/metadata"}),
        (
            FrameScope("pacs", "1", "2", "7"),
            {"studies/5/series", "studies/1/series/9/metadata", "studies/1/series/2/instances/3"},
        ),
        (FrameScope("pacs", "8"), set(PATHS) - {"studies"}),
    ],
)
def test_a_change_drops_what_it_may_change(scope: FrameScope, left: set[str]) -> None:
    holding = holding_of()
    for path in PATHS:
        put(holding, key_of(path))
    holding.forget(scope)
    assert {path for path in PATHS if holding.get(key_of(path))} == left


def test_what_the_origin_has_no_longer_goes_with_its_parts_and_for_its_partition() -> None:
    holding = holding_of()
    for path in PATHS:
        for partition in (b"", b"a"):
            put(holding, key_of(path, partition=partition))
    assert holding.drop_gone(key_of("studies/1/series/2/metadata"))
    gone = {"studies/1/series/2/metadata", "studies/1/series/2/instances/3"}
    assert {path for path in PATHS if not holding.get(key_of(path))} == gone
    assert all(holding.get(key_of(path, partition=b"a")) for path in PATHS)


def test_a_list_that_was_never_there_says_nothing_about_the_rest() -> None:
    holding = holding_of()
    for path in PATHS:
        put(holding, key_of(path))
    assert not holding.drop_gone(key_of("studies/1/series/2/thumbnail"))
    assert not holding.drop_gone(key_of("studies/77/metadata"))


def test_many_forms_of_one_resource_displace_each_other_only() -> None:
    holding = holding_of()
    put(holding, key_of("studies/5/series"))
    for number in range(3 * MOST_FORMS):
        put(holding, key_of("studies/1/metadata", f"?x={number}"))
    held = [
        number
        for number in range(3 * MOST_FORMS)
        if holding.get(key_of("studies/1/metadata", f"?x={number}"))
    ]
    assert held == list(range(2 * MOST_FORMS, 3 * MOST_FORMS))
    assert holding.get(key_of("studies/5/series"))


def test_the_index_does_not_outgrow_what_is_held() -> None:
    ledger = Ledger(most=20_000)
    holding = holding_of(ledger=ledger)
    for number in range(4 * NAMES_LEFT):
        put(holding, key_of(f"studies/{number}/metadata"))
    assert holding._named <= 2 * len(holding._held) + NAMES_LEFT + 1
    last = 4 * NAMES_LEFT - 1
    holding.forget(FrameScope("pacs", str(last)))
    assert holding.get(key_of(f"studies/{last}/metadata")) is None


def test_times_follow_the_terms_and_the_origin() -> None:
    clock = Clock()
    holding = holding_of(clock)
    key, search = key_of("studies/1/metadata"), key_of("studies")

    def times(key: ResourceKey, what: Representation) -> tuple[float, float]:
        put(holding, key, what)
        held = holding.get(key)
        assert held is not None
        return held.fresh_until - clock.now, held.stale_until - clock.now

    assert times(key, response()) == (30, 330)
    assert times(search, response()) == (3, 3)
    assert times(key, response(lease=Lease(own=5, shared=5))) == (5, 305)
    assert times(key, response(lease=Lease(own=5, shared=7), may_be_stale=False)) == (7, 7)
    assert times(key_of("studies/1/metadata", partition=b"a"), response(lease=Lease(own=5, shared=7))) == (
        5,
        305,
    )
    assert times(key, response(lease=Lease(age=10))) == (20, 320)


def test_after_a_failure_the_origin_is_left_alone_for_a_moment() -> None:
    clock = Clock()
    holding = holding_of(clock)
    key = key_of("studies/1/metadata")
    holding.failed(key)
    put(holding, key)
    holding.failed(key)
    held = holding.get(key)
    assert held is not None
    assert held.asked_from == clock.now + AGAIN


def test_a_response_that_came_with_other_headers_is_alike() -> None:
    holding = holding_of()
    bare = key_of("studies/1/metadata")
    other = ResourceKey("pacs", b"", bare.resource, bare.target, bare.accept, (("x-forwarded-host", "a"),))
    assert holding.alike(bare) == bare
    put(holding, other)
    assert holding.alike(bare) == other
    put(holding, bare)
    assert holding.alike(bare) == bare


def test_each_kind_has_its_bound() -> None:
    assert StudyResource(Kind.INSTANCES, "1").kind is Kind.INSTANCES
    terms = Terms(study_bytes=5, instances=7)
    assert {terms.most(kind) for kind in Kind if kind is not Kind.INSTANCES} == {5}
    assert terms.most(Kind.INSTANCES) == 7
