"""Errors sent to viewers."""

from starlette.types import Send

from proxy import errors
from proxy.wire.problem import answer_to


async def send_problem(send: Send, error: errors.ProxyError, wanted_range: str | None = None) -> None:
    """Sends an error as the whole response."""
    status, headers, body = answer_to(error, wanted_range)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
