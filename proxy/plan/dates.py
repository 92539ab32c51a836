"""Times that settings name in words: dates relative to today, and schedules. Pure, the caller gives the time.

Imports cronsim, which reads the five fields of cron.
"""

import re
from datetime import date, datetime, timedelta

from cronsim import CronSim, CronSimError

_DAY = r"today(?:(?P<{0}>[+-][0-9]{{1,5}}))?"
_ONE = re.compile(_DAY.format("days"), re.ASCII)
_RANGE = re.compile(rf"(?P<start>{_DAY.format('first')})?\.\.(?P<stop>{_DAY.format('last')})?", re.ASCII)


def absolute(value: str, today: date) -> str:
    """A value of a search with dates as DICOM has them (PS3.4 C.2.2.2.5); others stay as they are.

    >>> absolute("today-2..", date(2026, 11, 29)), absolute("..today-30", date(2026, 11, 29))
    ('20261127-', '-20261030')
    >>> absolute("today", date(2026, 11, 29)), absolute("CT", date(2026, 11, 29))
    ('20261129', 'CT')

    Raises `ValueError` if a date is not understood.
    """
    text = value.replace(" ", "")
    if one := _ONE.fullmatch(text):
        return _written(today, one["days"])
    found = _RANGE.fullmatch(text)
    if found and (found["start"] or found["stop"]):
        start = _written(today, found["first"]) if found["start"] else ""
        stop = _written(today, found["last"]) if found["stop"] else ""
        return f"{start}-{stop}"
    if "today" in text:
        raise ValueError("must be today, today-2, or a range of them: today-2.., today-7..today, ..today-30")
    return value


def _written(today: date, days: str | None) -> str:
    try:
        return (today + timedelta(days=int(days or 0))).strftime("%Y%m%d")
    except OverflowError:
        raise ValueError("is too far from today") from None


def next_time(cron: str, now: datetime) -> datetime:
    """The next time of a schedule after `now`, in its time zone. Raises `ValueError` if it has none.

    >>> next_time("30 5 * * 1-5", datetime(2026, 11, 29, 12, 0)).isoformat()
    '2026-11-30T05:30:00'
    """
    try:
        return next(CronSim(cron, now))
    except (CronSimError, StopIteration):
        raise ValueError("must be a schedule of cron with five fields, such as 30 5 * * 1-5") from None
