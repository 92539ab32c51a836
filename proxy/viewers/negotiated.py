"""Answers requests for frames in the first form that the origin has, of those that the viewer accepts.

If the origin has none of them, or sends another one, the request is handed on: the origin's own response goes
to that viewer, and is not kept. For a while, requests for that form of the instance are handed on at once.
After a few such instances in a row, so are those of the whole series.
"""

from collections.abc import Iterator
from dataclasses import replace

from proxy.access.caller import Caller
from proxy.cache.kept import Kept, Ledger
from proxy.cache.lacking import Lacking
from proxy.errors import OriginRefused, OtherForm, ProxyError
from proxy.fetch.permits import Permits
from proxy.frame.key import FrameKey
from proxy.viewers.frames import Frames
from proxy.viewers.request import FrameRequest
from proxy.viewers.studies import Ways

IN_A_ROW = 3
"""Instances in a row that lack a form, after which their series counts as lacking it."""
MOST_SERIES = 1024
"""Series and forms for which such instances are counted."""


class Negotiated:
    """Answers requests for frames, form after form."""

    def __init__(self, frames: Frames, permits: Permits, ledger: Ledger) -> None:
        self._frames = frames
        self._permits = permits
        self._lacking = Lacking(ledger=ledger)
        self._in_a_row: Kept[FrameKey, int] = Kept(ledger, MOST_SERIES)

    async def answer(self, asked: FrameRequest, ways: Ways) -> bool:
        """Sends the response; returns False, before anything was sent, if the origin has to answer itself.

        Raises `ProxyError`; `ways.progress` shows if anything was sent by then.
        """
        for each in _forms_of(asked):
            key = each.address.key(each.caller)
            if asked.has_forms and self._is_lacking(each.caller, key):
                continue
            try:
                await self._frames.answer(each, ways.receive, ways.send, ways.progress)
            except ProxyError as error:
                if ways.progress.has_started or not asked.may_be_otherwise(error):
                    raise
                if isinstance(error, OriginRefused | OtherForm):  # no codec failed
                    self._note_lacking(key)
            else:
                if len(self._in_a_row) and asked.has_forms:
                    self._in_a_row.pop(key.any_of_series)
                return True
        return False

    def _note_lacking(self, key: FrameKey) -> None:
        self._lacking.note(key, is_there=False)
        series = key.any_of_series
        count = (self._in_a_row.get(series) or 0) + 1
        self._in_a_row.put(series, count)
        if count >= IN_A_ROW:
            self._lacking.note(series, is_there=False)

    def _is_lacking(self, caller: Caller, key: FrameKey) -> bool:
        """True if the form was refused a moment ago, and the caller may know what others found out."""
        is_lacking = key in self._lacking or key.any_of_series in self._lacking
        return is_lacking and self._permits.knows(caller, key.resource.study)


def _forms_of(asked: FrameRequest) -> Iterator[FrameRequest]:
    """The request in each form that the viewer accepts, in order."""
    yield asked
    for wanted in asked.instead:
        address = replace(asked.address, form=wanted.form)
        conditions = replace(asked.conditions, envelope=wanted.envelope)
        yield replace(asked, address=address, conditions=conditions)
