"""A response under way goes on only while the proxy itself lets its caller in.

Its token may expire, the authorizer may refuse it in another request, or the authorizer's yes may end. Then
the caller is let in again before another piece goes out, or gets nothing more. The origin's yes is looked
after where the bytes are read (`proxy.fetch.permit`).
"""

from collections.abc import Awaitable, Callable

from starlette.types import Message, Send

from proxy.access.caller import Caller, always
from proxy.viewers.delivery import DeliveryProgress


def while_let_in(
    send: Send, caller: Caller, admit: Callable[[], Awaitable[object]], progress: DeliveryProgress
) -> Send:
    """Returns `send` with a check before each message: if the caller has to be let in again, `admit` does it.

    `admit` raises why the caller may not read on. A response whose head has not gone out by then can still
    be the refusal.
    """
    if caller.can_read_on is always:
        return send

    async def sending(message: Message) -> None:
        if not caller.can_read_on():
            progress.has_started = message["type"] != "http.response.start"
            await admit()
            progress.has_started = True
        await send(message)

    return sending
