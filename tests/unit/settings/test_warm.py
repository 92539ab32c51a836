"""The section `warm`: dates relative to today, schedules, and what can't be meant."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from proxy.plan.dates import absolute, next_time
from proxy.settings.model import Settings

PACS = {"name": "pacs", "url": "http://pacs.example/dicom-web"}
WORKLIST = {"name": "worklist", "search": {"StudyDate": "today-2.."}}


def settings(*warm: dict[str, Any], **more: Any) -> Settings:
    return Settings(**({"origins": [PACS], "warm": list(warm)} | more))


DATES = {
    "today": "20260301",
    "today-1": "20260228",
    "today+1": "20260302",
    "today-2..": "20260227-",
    "..today-30": "-20260130",
    "today-7..today-1": "20260222-20260228",
    "today - 2 .. today": "20260227-20260301",
    "20260101-20260201": "20260101-20260201",
    "CT": "CT",
    "..": "..",
}


@pytest.mark.parametrize(("written", "found"), DATES.items())
def test_dates_are_relative_to_today(written: str, found: str) -> None:
    assert absolute(written, date(2026, 3, 1)) == found


@pytest.mark.parametrize(
    "written", ["today-", "today-x", "yesterday..today", "today-2...", "today-99999..", "todays"]
)
def test_a_date_that_is_not_understood_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"must be today|too far"):
        absolute(written, date(26, 3, 1))
    if written != "today-99999..":
        with pytest.raises(ValidationError, match="StudyDate"):
            settings({"name": "a", "search": {"StudyDate": written}})


def test_a_schedule_has_five_fields() -> None:
    assert next_time("*/15 * * * *", datetime(2026, 3, 1, 12, 1, tzinfo=UTC)) == datetime(
        2026, 3, 1, 12, 15, tzinfo=UTC
    )
    for wrong in ("* * *", "61 * * * *", "", "at noon"):
        with pytest.raises(ValidationError, match="five fields"):
            settings(WORKLIST | {"cron": wrong})


WRONG: dict[str, tuple[list[dict[str, Any]], str]] = {
    "two schedules": ([WORKLIST | {"every": "5m", "cron": "0 5 * * *"}], "set every or cron"),
    "one name twice": ([WORKLIST, WORKLIST], "different name"),
    "no such origin": ([WORKLIST | {"origin": "pasc"}], "did you mean pacs"),
    "no such profile": ([WORKLIST | {"profile": "interleavd"}], "did you mean interleaved"),
    "no search": ([{"name": "a", "search": {}}], "search"),
    "a parameter that is none": ([{"name": "a", "search": {"Study Date": "today"}}], "keyword or the tag"),
    "a fetch that is none": ([WORKLIST | {"fetch": "some"}], "fetch"),
}


@pytest.mark.parametrize(("warm", "words"), WRONG.values(), ids=WRONG)
def test_what_can_not_be_meant_is_refused(warm: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(*warm)


def test_of_several_origins_one_has_to_be_named() -> None:
    origins = [PACS, PACS | {"name": "cloud"}]
    with pytest.raises(ValidationError, match="needs the name of an origin"):
        settings(WORKLIST, origins=origins)
    assert settings(WORKLIST | {"origin": "cloud"}, origins=origins).warm[0].origin == "cloud"


def test_a_token_beside_credentials_of_the_proxys_own_is_refused() -> None:
    own = PACS | {"credentials": {"bearer_file": "/t"}}
    with pytest.raises(ValidationError, match="needs no token_file"):
        settings(WORKLIST | {"token_file": "/u"}, origins=[own])
