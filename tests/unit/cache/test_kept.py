"""Tables are counted in bytes, as honestly as memory itself counts, and the largest gives way first."""

import gc
import json
import tracemalloc
from base64 import b64encode
from collections.abc import Callable

import pytest

from proxy.access.proofs import Proofs
from proxy.cache.kept import Kept, Ledger, size_of
from proxy.cache.lacking import Lacking
from proxy.cache.memory import TABLES, MemoryStore
from proxy.errors import OriginRefused
from proxy.fetch.learned import Learned
from proxy.fetch.series import SeriesFrames, read_frames
from proxy.frame.frame import frame_of
from proxy.frame.identity import Claim, identify
from proxy.frame.key import FrameKey, SeriesKey
from proxy.frame.supply import OriginRequest
from proxy.origin.forms import Asking
from proxy.origin.missing import Missing
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.resource import parse_frame_path
from tests.scripted_origin import instance_of

UID = "1.2.840.113619.2.55.3.604688119.971.1448891011"
MANY = 3000


def key_of(number: int, query: str = "") -> FrameKey:
    """A key as it is read from a request."""
    path = f"studies/{UID}.{number}/series/{UID}.{number}/instances/{UID}.{number}/frames/{number + 300}"
    return FrameKey("pacs", b"p" * 32, parse_frame_path(path), query)


def asked_of(number: int, query: str = "") -> OriginRequest:
    return OriginRequest(key_of(number, query), (("authorization", f"Bearer {number}"),))


def proofs(ledger: Ledger) -> Callable[[int], None]:
    book = Proofs(60, ledger=ledger)

    def allow(number: int) -> None:
        book.allow((b"%032d" % number, "pacs", f"{UID}.{number}"))

    return allow


def refusals(ledger: Ledger) -> Callable[[int], None]:
    book = Proofs(60, ledger=ledger)

    def refuse(number: int) -> None:
        name = b"%032d" % number, "pacs", f"{UID}.{number}"
        book.refuse(name, key_of(number), OriginRefused(401, "Bearer realm=" + "x" * 200))

    return refuse


def missing(ledger: Ledger) -> Callable[[int], None]:
    frames = Missing(ledger=ledger)
    return lambda number: frames.note(asked_of(number, f"x={number:08000}"), 404, 0)


def learned(ledger: Ledger) -> Callable[[int], None]:
    sizes = Learned(ledger)
    return lambda number: sizes.note(key_of(number, f"x={number}"), None, 1 << 20)


def forms(ledger: Ledger) -> Callable[[int], None]:
    asking = Asking("pacs", ledger=ledger)
    return lambda number: asking.worked(f"studies/{UID}.{number}/series/{UID}.{number}", number % 3)


def lacking(ledger: Ledger) -> Callable[[int], None]:
    alternates = Lacking(ledger=ledger)
    return lambda number: alternates.note(key_of(number), is_there=False)


TABLES_OF = (proofs, refusals, missing, learned, forms, lacking)


@pytest.mark.parametrize("table", TABLES_OF, ids=lambda table: table.__name__)
def test_a_table_counts_what_it_holds(table: Callable[[Ledger], Callable[[int], None]]) -> None:
    ledger = Ledger()
    put = table(ledger)
    put(MANY)
    gc.collect()
    tracemalloc.start()
    try:
        before, counted = tracemalloc.get_traced_memory()[0], ledger.size
        for number in range(MANY):
            put(number)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.75 < (ledger.size - counted) / held < 1.5


def coloured(number: int) -> dict[str, object]:
    """An instance with a palette of its own: 65,536 entries of 16 bits."""
    table = {"vr": "OW", "InlineBinary": b64encode(number.to_bytes(4, "big") + bytes(131_068)).decode()}
    tags = dict.fromkeys(("00281201", "00281202", "00281203"), table)
    sizes = {tag: {"vr": "US", "Value": [16]} for tag in ("00280010", "00280011", "00280100")}
    return instance_of(f"1.{number}") | tags | sizes | {"00281101": {"vr": "US", "Value": [0, 0, 16]}}


LISTS: dict[str, Callable[[], object]] = {
    "many instances": lambda: [instance_of(f"{UID}.{number}", number=number) for number in range(20_000)],
    "palettes": lambda: [coloured(number) for number in range(40)],
    "many frames with windows": lambda: [
        instance_of("1.1", frames=20_000)
        | {
            "52009230": {
                "vr": "SQ",
                "Value": [
                    {
                        "00289132": {
                            "Value": [{"00281050": {"Value": [n]}, "00281051": {"Value": [n + 1]}}],
                        }
                    }
                    for n in range(20_000)
                ],
            }
        }
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_frames_counts_what_it_holds(name: str) -> None:
    body = json.dumps(LISTS[name]()).encode()
    gc.collect()
    tracemalloc.start()
    try:
        frames: SeriesFrames = read_frames(SeriesKey("pacs", b"", "1", "2"), [body])
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frames.held > 1_000_000
    assert 0.75 < frames.held / held < 1.3


def test_the_largest_table_gives_way_and_the_others_lose_nothing() -> None:
    ledger = Ledger(100_000)
    small: Kept[str, int] = Kept(ledger, 1000)
    large: Kept[int, int] = Kept(ledger, 1_000_000)
    for number in range(10):
        small.put(str(number), number)
    for number in range(10_000):
        large.put(number, number)
        assert ledger.size <= 100_000
    assert len(small) == 10
    assert large.get(9_999) == 9_999
    assert large.get(0) is None
    assert large.lost == 9_999 - len(large)
    assert ledger.size == small.size + large.size


def test_one_entry_may_be_too_large_and_leaves_for_the_next() -> None:
    ledger = Ledger(100_000)
    table: Kept[int, int] = Kept(ledger, 10, lambda _, size: size)
    table.put(1, 1_000_000)
    assert 1 in table
    table.put(2, 10)
    assert list(table) == [2]


def test_an_entry_that_is_put_again_is_new_and_counted_once() -> None:
    table: Kept[int, int] = Kept(None, 2, lambda _, size: size)
    for number in (1, 2, 1, 3):
        table.put(number, 100)
    assert (list(table), table.oldest(1)) == ([1, 3], [(1, 100)])
    one = table.size // 2
    table.put(3, 200)
    assert table.size == 2 * one + 100
    assert (table.pop(3), table.pop(3), len(table), table.size) == (200, None, 1, one)


def test_tables_make_room_among_frames_within_their_share_and_no_more() -> None:
    budget = 1_000_000
    store = MemoryStore(budget, 0.5, 3600.0, Telemetry())
    for number in range(200):
        body = bytes(10_000)
        store.put(key_of(number), frame_of(identify(Claim("image/jphc", 10_000, '"1"'), body), [body], 5000))
    assert store.counted > 0.9 * budget
    table: Kept[int, int] = Kept(store.ledger, 100_000)
    for number in range(1000):
        table.put(number, number)
        assert store.counted <= budget
    assert 0.9 * TABLES * budget < store.ledger.size <= TABLES * budget
    assert store.size > 0.6 * budget


def test_what_a_value_holds_twice_is_counted_once() -> None:
    text = "x" * 10_000
    assert 10_000 < size_of((text, text, (text,))) < 10_500


def test_when_a_no_had_to_leave_an_older_answer_is_no_proof() -> None:
    book = Proofs(60, most_kept=2)
    asked = book.refusals
    names = [(b"%d" % number, "pacs", "1") for number in range(4)]
    for name in names:
        book.refuse(name, "frame", OriginRefused(401))
    book.allow(names[0], refusals=asked)  # it was on its way when the origin said no
    assert book.yes(names[0]) is None
    book.allow(names[0], refusals=book.refusals)
    assert book.yes(names[0]) is not None


def test_who_may_have_read_before_is_not_the_only_reader() -> None:
    book = Proofs(60, most_kept=2)
    for study in range(4):
        book.allow((b"anne", "pacs", str(study)))
    bob = b"bob", "pacs", "0"
    assert not book.may_read_others(bob, book.allow(bob))
