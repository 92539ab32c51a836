"""A frame that came in another form than it should: the same frame, asked for in other ways.

A free form of request leaves the choice to the origin, and many origins then decompress a stored frame. If a
viewer wants a form other than HTJ2K, an origin may send what it likes all the same. A frame is never kept
under a form that it is not in.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from proxy.errors import OriginError, OtherForm
from proxy.frame.supply import Answer
from proxy.origin.fitting import fitted
from proxy.origin.inquiry import Inquiry, Reply
from proxy.origin.parts import begun
from proxy.origin.signature import TELLING, kind_of
from proxy.wire.media import UNCOMPRESSED, is_htj2k, transfer_syntax_of
from proxy.wire.wanted import STORED

Read = Callable[[Reply], Awaitable[Answer]]
"""Reads a response as an answer; raises `OriginError`."""
REFUSALS = frozenset({400, 405, 406, 415, 500, 501})
"""Statuses with which an origin refuses a form that it does not have, after each spelling of it."""


def check_form(form: str, status: int) -> None:
    """Raises `OtherForm` if a status says that an origin does not give frames in a form."""
    if is_named(form) and status in REFUSALS:
        raise OtherForm("the origin refuses this form of the frame")


def is_named(form: str) -> bool:
    """True if a form is one that the viewer names, not HTJ2K or whatever the origin stores."""
    return form not in ("", STORED)


async def as_wanted(
    inquiry: Inquiry, came: Reply, answer: Answer, read: Read, *, is_htj2k_only: bool
) -> tuple[Reply, Answer]:
    """The response and its answer, or those of another request if the first is not as wanted.

    It closes the first response if it returns another one. Raises `OtherForm` if no request gives the form.
    """
    form = inquiry.asked.key.form
    if is_named(form):
        return await _in_form(inquiry, came, answer, read)
    reply = came
    if inquiry.asking.may_be_decompressed(inquiry.series, came.form):
        reply, answer = await _as_stored(inquiry, came, answer, read)
    if is_htj2k_only and not (form or inquiry.asked.key.frames_path):
        try:
            answer = await _as_htj2k(answer)
        except BaseException:
            await reply.response.aclose()
            raise
    return reply, answer


async def _as_stored(inquiry: Inquiry, free: Reply, came: Answer, read: Read) -> tuple[Reply, Answer]:
    """The same frame as it is stored, if it came decompressed and another form gives it so."""
    leading, chunks = await begun(came.chunks, TELLING)
    came = replace(came, chunks=chunks)
    if transfer_syntax_of(came.claim.label) not in UNCOMPRESSED or kind_of(leading):
        return free, came
    # A 500 may tell of a moment only.
    forms = [form for form in inquiry.asking.stored() if free.refusals.get(form, 500) == 500]
    for form in forms:
        with suppress(OriginError):
            reply = await inquiry.ask(form)
            answer = await _closing(reply, read)
            await free.response.aclose()
            return reply, answer
    if forms:
        inquiry.asking.was_stored_so(inquiry.series)
    return free, came


async def _in_form(inquiry: Inquiry, came: Reply, answer: Answer, read: Read) -> tuple[Reply, Answer]:
    """The frame in the form that was asked for."""
    form = inquiry.asked.key.form
    with suppress(OtherForm):
        return came, await _fitted(form, answer)

    async def checked(reply: Reply) -> Answer:
        return await _fitted(form, await read(reply))

    for other in [
        each for each in inquiry.asking.stored() if each != came.form and each not in came.refusals
    ]:
        with suppress(OriginError):
            reply = await inquiry.ask(other)
            answer = await _closing(reply, checked)
            await came.response.aclose()
            return reply, answer
    raise OtherForm("the origin sent another form of the frame")


async def _as_htj2k(answer: Answer) -> Answer:
    """The answer if it is HTJ2K. Raises `OtherForm`."""
    leading, chunks = await begun(answer.chunks, TELLING)
    kind = kind_of(leading)
    is_shown = kind not in ("", "image/jp2")  # else the bytes do not tell
    if not is_htj2k(kind if is_shown else answer.claim.label):
        raise OtherForm("the origin has another form of the frame than HTJ2K")
    return replace(answer, chunks=chunks)


async def _closing(reply: Reply, read: Read) -> Answer:
    """The answer of a response, which is closed if it is not a good one."""
    try:
        return await read(reply)
    except BaseException:
        await reply.response.aclose()
        raise


async def _fitted(form: str, answer: Answer) -> Answer:
    """The answer with the media type to keep it with. Raises `OtherForm`."""
    leading, chunks = await begun(answer.chunks, TELLING)
    label = fitted(form, answer.claim.label, leading)
    if label is None:
        raise OtherForm("the origin sent another form of the frame")
    return replace(answer, claim=replace(answer.claim, label=label), chunks=chunks)
