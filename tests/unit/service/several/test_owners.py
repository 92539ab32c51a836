"""Which worker keeps a study, and which study a request names."""

import pytest

from proxy.service.several.owners import MOST_KEPT, Owners
from proxy.wire.study import MOST, study_in

STUDIES = [b"1.2.840.%d" % n for n in range(3000)]
LINE = b" HTTP/1.1\r\n"


def test_studies_spread_evenly() -> None:
    for count in (2, 3, 8):
        owners = Owners(range(count))
        kept = [owners.of(study) for study in STUDIES]
        assert all(kept.count(number) > 0.8 * len(STUDIES) / count for number in range(count))


def test_only_the_studies_of_a_worker_that_died_move_and_they_come_back() -> None:
    owners = Owners((0, 1, 2))
    before = {study: owners.of(study) for study in STUDIES}
    owners.live = (0, 2)
    without = {study: owners.of(study) for study in STUDIES}
    assert {without[study] for study in STUDIES if before[study] == 1} == {0, 2}
    assert all(without[study] == owner for study, owner in before.items() if owner != 1)
    owners.live = (0, 1, 2)
    assert {study: owners.of(study) for study in STUDIES} == before


def test_without_workers_nobody_keeps_a_study() -> None:
    assert Owners().of(b"1.2") is None


def test_what_is_remembered_is_bounded() -> None:
    owners = Owners((0, 1))
    for number in range(3 * MOST_KEPT):
        owners.of(b"%d" % number)
    assert len(owners._known) <= MOST_KEPT


@pytest.mark.parametrize(
    ("begun", "study"),
    [
        (b"GET /studies/1.2/series/3" + LINE, b"1.2"),
        (b"GET /pacs/studies/1.2/series/3" + LINE, b"1.2"),
        (b"GET /studies/1.2?includefield=all" + LINE, b"1.2"),
        (b"DELETE /studies/1.2" + LINE, b"1.2"),
        (b"GET http://localhost:80/studies/1.2/metadata" + LINE, b"1.2"),
        (b"GET http://localhost/pacs/studies/1.2/metadata" + LINE, b"1.2"),
        (b"GET /studies?StudyInstanceUID=1.2" + LINE, b""),
        (b"POST /studies" + LINE, b""),
        (b"GET /a/b/studies/1.2/x" + LINE, b""),
        (b"GET /?x=/studies/1.2/" + LINE, b""),
        (b"GET / HTTP/1.1\r\nReferer: /studies/1.2/\r\n", b""),
        (b"\r\nGET /studies/1.2/x" + LINE, b""),
        (b"get /studies/1.2/x" + LINE, b""),
        (b"\x16\x03\x01\n", b""),
        (b"", None),
        (b"G", None),
        (b"GET /studies/", None),
        (b"GET /studies/1.2", None),
        (b"GET /" + b"a" * MOST, b""),
        (b"GET /studies/" + b"1" * MOST + b"/", b""),
    ],
)
def test_the_study_that_a_request_names(begun: bytes, study: bytes | None) -> None:
    assert study_in(begun) == study


def test_a_study_is_the_same_however_much_has_come() -> None:
    whole = b"GET /pacs/studies/1.2/series/3/instances/4/frames/1 HTTP/1.1\r\nHost: a\r\n\r\n"
    found = [study_in(whole[:size]) for size in range(len(whole) + 1)]
    assert set(found) == {None, b"1.2"}
    assert found == sorted(found, key=bool)
