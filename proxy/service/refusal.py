"""The last answer on a connection, which tells of its fault."""

from collections.abc import Sequence

from httptools import HttpParserError
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from proxy.errors import BadRequest, ProxyError
from proxy.wire.problem import answer_to

Pairs = Sequence[tuple[bytes, bytes]]


def refusal(error: ProxyError, asked: Pairs, default: Pairs) -> bytes:
    """The whole answer to a request with the headers `asked`; `default` are those of each answer."""
    wanted = next((value.decode("latin-1") for name, value in asked if name == b"range"), None)
    status, headers, body = answer_to(error, wanted)
    lines = [b"%s: %s\r\n" % pair for pair in (*default, *headers, (b"connection", b"close"))]
    return b"".join((STATUS_LINE[status], *lines, b"\r\n", body))


def fault_in(error: HttpParserError) -> ProxyError:
    """The message of a parser's error. An error that a callback raised is its context."""
    if isinstance(error.__context__, ProxyError):
        return error.__context__
    return BadRequest(f"no request of HTTP/1.1: {error}")
