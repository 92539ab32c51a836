"""The tree of errors. Messages hold no token, header, body or identifier of a patient.

ProxyError
├── RequestError              what the viewer asked for
│   ├── BadResource           the path names no frame: UID, frame number, several frames
│   ├── NotAcceptable         no representation that the viewer would take
│   ├── RangeNotSatisfiable   no such bytes, or not a range at all; knows the total
│   ├── UnknownName           no such origin or profile
│   ├── UnknownFrame          the instance has fewer frames, as the metadata of its series says
│   ├── NotMade               an alternate that there can't be of this frame; says why
│   ├── BadRequest            no request of HTTP/1.1, or one that two servers could read in two ways
│   ├── BadMethod             TRACE and CONNECT
│   ├── TooLarge              more headers, or longer chunk extensions, than anybody needs
│   ├── BodyTooLong           a longer body than is held
│   ├── UrlTooLong            a longer URL than anybody needs
│   ├── TooSlow               headers or a body that did not arrive in time
│   ├── WrongHost             a Host that is no name of this proxy
│   └── CrossSite             a page of another site that would change something
├── OriginError               what the origin did
│   ├── OriginUnreachable     no connection, or it was refused
│   ├── OriginTimeout         silent for longer than its limit
│   ├── OriginRefused         a status of 4xx, or a redirect to another host; carries it
│   ├── OriginBusy            429, 502, 503 or 504; carries it, and how long to wait
│   ├── OriginFailed          another 5xx, or a status that means nothing here
│   ├── Loop                  it leads back to this proxy
│   ├── OriginHungUp          the body ended too early
│   └── OriginMismatch        an answer that can't be believed; carries the reason
│       └── OriginChanged     the frame is another version than the bytes held
├── CodestreamError           bytes that are no codestream
│   └── WorkerLost            the process that decoded them died or was killed
├── MeasureError              a measurement that would not be true
├── PlanCancelled             whoever made the plan wants it no more
├── InternalFault             a fault of ours, which the log tells of
├── ShuttingDown              the service is ending
└── ConfigurationError        a file of settings or a profile; says path, line and what is right
"""


class ProxyError(Exception):
    """Whatever this project raises on purpose."""


class RequestError(ProxyError):
    """What the viewer asked for can't be had."""


class BadResource(RequestError):
    """The path names no single frame (PS3.18 10.1.1)."""


class NotAcceptable(RequestError):
    """The viewer takes none of the representations there are (PS3.18 8.7.4)."""


class RangeNotSatisfiable(RequestError):
    """No such bytes (RFC 9110 15.5.17)."""

    def __init__(self, message: str, total: int) -> None:
        super().__init__(message)
        self.total = total
        """Bytes of the whole representation."""


class UnknownName(RequestError):
    """No origin, or no profile, of that name is configured."""


class UnknownFrame(RequestError):
    """The instance has no frame of that number."""


class NotMade(RequestError):
    """There can be no such alternate of this frame."""


class BadRequest(RequestError):
    """No request of HTTP/1.1, or one that two servers could read in two ways (RFC 9112 2.2)."""


class BadMethod(RequestError):
    """TRACE and CONNECT, which nobody needs here (RFC 9110 15.5.6)."""


class TooLarge(RequestError):
    """More bytes of headers or chunk extensions than anybody needs (RFC 6585 5)."""


class BodyTooLong(RequestError):
    """More bytes of a body than are held here (RFC 9110 15.5.14)."""


class UrlTooLong(RequestError):
    """More bytes of a URL than anybody needs (RFC 9110 15.5.15)."""


class TooSlow(RequestError):
    """The headers of a request, or more of its body, did not arrive in time (RFC 9110 15.5.9)."""


class WrongHost(RequestError):
    """`Host` is no name of this proxy (RFC 9110 15.5.20)."""


class CrossSite(RequestError):
    """A page of another site would change something."""


class OriginError(ProxyError):
    """The origin's fault, as seen from here."""


class OriginUnreachable(OriginError):
    """No connection to the origin."""


class OriginTimeout(OriginError):
    """The origin said nothing for longer than its limit."""


class OriginRefused(OriginError):
    """The origin answered 4xx, or redirected to another host."""

    def __init__(self, status: int, challenge: str | None = None, *, location: str | None = None) -> None:
        super().__init__(f"the origin answered {status}")
        self.status = status
        """The origin's own status, passed on to the viewer."""
        self.challenge = challenge
        """Its WWW-Authenticate, if any, passed on too (RFC 9110 11.6.1)."""
        self.location = location
        """Its Location, if it redirected, passed on too (RFC 9110 10.2.2)."""


class OriginBusy(OriginError):
    """The origin answered 429, 502, 503 or 504: later, perhaps."""

    def __init__(self, status: int, retry_after: float | None) -> None:
        super().__init__(f"the origin answered {status}")
        self.status = status
        """The origin's own status, passed on to the viewer."""
        self.retry_after = retry_after
        """Seconds to wait, where it said so (RFC 9110 10.2.3)."""


class OriginFailed(OriginError):
    """The origin answered another 5xx, or a status that has no meaning for a frame."""

    def __init__(self, message: str, refused: int | None = None) -> None:
        super().__init__(message)
        self.refused = refused
        """The status by which it refused the proxy's own credentials, if it did."""


class Loop(OriginError):
    """The origin leads back to this proxy, or to another one in a ring (RFC 5842 7.2)."""


class OriginHungUp(OriginError):
    """The body ended before its announced length."""


class OriginMismatch(OriginError):
    """An answer that can't be believed."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
        """A word for the metric: content_range, total, length, validator, encoding, too_large …"""


class OriginChanged(OriginMismatch):
    """The frame at the origin is another version than the one whose bytes are held."""


class CodestreamError(ProxyError):
    """Bytes that are no codestream, or none that we can read."""


class WorkerLost(CodestreamError):
    """The process that was to decode these bytes died of them, or took too long and was killed."""


class MeasureError(ProxyError):
    """A measurement that would not be true: a wrong status, a short body, other bytes than the origin's."""


class PlanCancelled(ProxyError):
    """Whoever made the plan wants it no more."""


class InternalFault(ProxyError):
    """A fault of ours, which the log tells of."""


class ShuttingDown(ProxyError):
    """The service is ending and starts nothing new."""


class ConfigurationError(ProxyError):
    """A configuration that can't be used: one line a fault, each with path, line and what is right."""
