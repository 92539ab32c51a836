"""Errors sent to viewers."""

from starlette.types import Send

from proxy import errors
from proxy.wire.problem import answer_to


async def send_problem(send: Send, error: errors.ProxyError, wanted_range: str | None = None) -> None:
    """Answers with an error, before anything else was said."""
    status, headers, body = answer_to(error, wanted_range)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
