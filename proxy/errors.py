"""The tree of errors. A message contains no token, header, body or patient identifier.

ProxyError
├── RequestError              the viewer's request can't be satisfied
│   ├── BadResource           the path names no frame: UID, frame number, several frames
│   ├── NotAcceptable         the viewer accepts none of the representations
│   ├── RangeNotSatisfiable   no such bytes, or not a range at all; carries the total
│   ├── PreconditionFailed    If-Match names only other versions
│   ├── UnknownName           no such origin or profile
│   ├── UnknownFrame          the series metadata says that the instance has fewer frames
│   ├── NotMade               the alternate can't be made from this frame; says why
│   ├── BadRequest            not HTTP/1.1, or two servers could read it in two ways
│   ├── BadMethod             TRACE and CONNECT
│   ├── ExpectationFailed     Expect asks for more than 100-continue
│   ├── TooLarge              headers or chunk extensions over the limit
│   ├── BodyTooLong           a body over the limit
│   ├── UrlTooLong            a URL over the limit
│   ├── TooSlow               headers or a body that did not arrive in time
│   ├── WrongHost             a Host that is not a name of this proxy
│   ├── CrossSite             a page of another site tried to change something
│   ├── CallerRefused         no valid token, or the authorizer said no; carries its words
│   ├── TooMany               as much of a kind as one caller may have under way
│   ├── AdminLocked           the request lacks the operator's token
│   └── AdminOff              a part of the admin listener that is off, as no token is configured
├── OriginError               the origin failed
│   ├── OriginUnreachable     no connection, or it was refused
│   ├── OriginTimeout         silent for longer than its limit
│   │   └── OriginStalled     silent inside a body, or slower than the least rate
│   ├── OriginRefused         a 4xx status, or a redirect to another host; carries it
│   ├── OriginBusy            429, 502, 503 or 504; carries it, and how long to wait
│   ├── OriginFull            as many forwarded requests as are allowed at once, or too much metadata
│   ├── OriginFailed          another 5xx, or a status that means nothing for a frame
│   ├── OtherForm             the origin does not give a frame in the form that was asked for
│   ├── NoToken               the token server gave no token for the origin
│   ├── Loop                  the origin leads back to this proxy
│   ├── OriginHungUp          the body ended too early
│   └── OriginMismatch        a response that can't be trusted; carries the reason
│       └── OriginChanged     the frame's version differs from the cached bytes
├── AuthorityFailed           the authorizer, or the issuer of tokens, gave no usable answer
├── AuthorityTimeout          the same gave none in time
├── CodestreamError           bytes that are not a codestream
│   └── WorkerLost            the worker process died or was killed while decoding
├── MeasureError              a measurement that would be wrong
├── PlanCancelled             the plan was cancelled
├── InternalFault             a fault of the proxy; the log has the details
├── ServiceFull               as much of a kind as all callers together may have under way
├── NotForgotten              a tier behind memory has not dropped what was purged
├── ShuttingDown              the service is shutting down
└── ConfigurationError        a settings file or a profile; says path, line and what is right
    └── NotUnderstood         a text that can't be read as a profile; has the line
"""

from typing import Self


class ProxyError(Exception):
    """Base of all errors that this project raises on purpose."""

    def anew(self) -> Self:
        """The same error, without the frames that it was raised through, and all that those hold."""
        same = type(self).__new__(type(self), *self.args)
        same.__dict__.update(self.__dict__)
        return same


class RequestError(ProxyError):
    """The viewer's request can't be satisfied."""


class BadResource(RequestError):
    """The path names no single frame (PS3.18 10.1.1)."""


class NotAcceptable(RequestError):
    """The viewer accepts none of the available representations (PS3.18 8.7.4)."""


class RangeNotSatisfiable(RequestError):
    """The representation has no such bytes (RFC 9110 15.5.17)."""

    def __init__(self, message: str, total: int) -> None:
        super().__init__(message)
        self.total = total  # bytes of the whole representation


class PreconditionFailed(RequestError):
    """If-Match names only other versions (RFC 9110 15.5.13)."""


class UnknownName(RequestError):
    """No origin or profile of that name is configured."""


class UnknownFrame(RequestError):
    """The instance has no frame of that number."""


class NotMade(RequestError):
    """The requested alternate can't be made from this frame."""


class BadRequest(RequestError):
    """The request is not HTTP/1.1, or two servers could read it in two ways (RFC 9112 2.2)."""


class BadMethod(RequestError):
    """TRACE and CONNECT, which no client needs here (RFC 9110 15.5.6)."""


class ExpectationFailed(RequestError):
    """`Expect` asks for more than 100-continue (RFC 9110 10.1.1)."""


class TooLarge(RequestError):
    """Headers or chunk extensions are over the limit (RFC 6585 5)."""


class BodyTooLong(RequestError):
    """More bytes of a body than are held here (RFC 9110 15.5.14)."""


class UrlTooLong(RequestError):
    """The URL is over the limit (RFC 9110 15.5.15)."""


class TooSlow(RequestError):
    """The request's headers, or more of its body, did not arrive in time (RFC 9110 15.5.9)."""


class WrongHost(RequestError):
    """`Host` is not a name of this proxy (RFC 9110 15.5.20)."""


class CrossSite(RequestError):
    """A page of another site tried to change something."""


class CallerRefused(RequestError):
    """The caller showed no valid token, or the authorizer did not let it in."""

    def __init__(
        self, message: str, status: int = 401, challenge: str | None = None, location: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status  # the status that the viewer gets
        self.challenge = challenge  # WWW-Authenticate of the response, if any (RFC 9110 11.6.1)
        self.location = location  # Location of the response, if any (RFC 9110 10.2.2)


class TooMany(RequestError):
    """The caller has as much of this kind under way as one caller may have (RFC 6585 4)."""


class AdminLocked(RequestError):
    """The request lacks the operator's token (RFC 9110 15.5.2)."""


class AdminOff(RequestError):
    """No token is configured, so this part of the admin listener is off."""


class OriginError(ProxyError):
    """The origin failed, as the proxy sees it."""


class OriginUnreachable(OriginError):
    """The proxy could not connect to the origin."""


class OriginTimeout(OriginError):
    """The origin sent nothing for longer than its limit."""


class OriginStalled(OriginTimeout):
    """The body of a response stands still, or comes more slowly than the least rate."""


class OriginRefused(OriginError):
    """The origin answered with a 4xx status, or redirected to another host."""

    def __init__(
        self,
        status: int,
        challenge: str | None = None,
        *,
        location: str | None = None,
        is_repeated: bool = False,
    ) -> None:
        super().__init__(f"the origin answered {status}")
        self.status = status  # the origin's own, which the viewer gets too
        self.challenge = challenge  # its WWW-Authenticate, which the viewer gets too (RFC 9110 11.6.1)
        self.location = location  # its Location if it redirected, which the viewer gets too (RFC 9110 10.2.2)
        self.is_repeated = is_repeated  # it refused the same a moment ago, and was not asked again


class OriginBusy(OriginError):
    """The origin answered 429, 502, 503 or 504; a retry may succeed."""

    def __init__(self, status: int, retry_after: float | None) -> None:
        super().__init__(f"the origin answered {status}")
        self.status = status  # the origin's own, which the viewer gets too
        self.retry_after = retry_after  # seconds to wait; None if the origin did not say (RFC 9110 10.2.3)


class OriginFull(OriginError):
    """The proxy already forwards, or reads for itself, as much from the origin as is allowed at once."""


class OriginFailed(OriginError):
    """The origin answered with another 5xx, or with a status that means nothing for a frame."""

    def __init__(self, message: str, refused: int | None = None, *, is_outage: bool = False) -> None:
        super().__init__(message)
        self.refused = refused
        """The status with which the origin refused the proxy's own credentials, if it did."""
        self.is_outage = is_outage
        """True if the origin answered with a 5xx, or if its connection broke without an answer."""


class OtherForm(OriginError):
    """The origin refuses the form that was asked for, or sent another one. It may have the frame itself."""

    status = 406


class NoToken(OriginError):
    """The proxy has no token for the origin, because the token server gave none; the origin was not asked."""


class Loop(OriginError):
    """The origin leads back to this proxy, directly or through other proxies (RFC 5842 7.2)."""


class OriginHungUp(OriginError):
    """The body ended before its announced length."""


class OriginMismatch(OriginError):
    """The origin's response can't be trusted."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason  # one word for the metric: content_range, total, length, too_large …


class OriginChanged(OriginMismatch):
    """The origin has another version of the frame than the cached bytes."""


class AuthorityFailed(ProxyError):
    """The authorizer, or the issuer of tokens, gave no usable answer."""


class AuthorityTimeout(ProxyError):
    """The authorizer, or the issuer of tokens, gave no answer in time."""


class CodestreamError(ProxyError):
    """The bytes are not a codestream, or not one that the proxy can read."""


class WorkerLost(CodestreamError):
    """The worker process died while it decoded these bytes, or took too long and was killed."""


class MeasureError(ProxyError):
    """The measurement would be wrong: bad status, short body, or bytes that differ from the origin's."""


class PlanCancelled(ProxyError):
    """The plan was cancelled."""


class InternalFault(ProxyError):
    """A fault of the proxy; the log has the details."""


class ServiceFull(ProxyError):
    """All callers together have as much of this kind under way as they may have."""


class NotForgotten(ProxyError):
    """A tier behind memory could not drop what was purged. It gives none of it out while the proxy runs."""


class ShuttingDown(ProxyError):
    """The service is shutting down and starts no new work."""


class ConfigurationError(ProxyError):
    """The configuration can't be used: one line per fault, with path, line and what is right."""


class NotUnderstood(ConfigurationError):
    """The text can't be understood; `line` is 1-based."""

    def __init__(self, line: int, words: str) -> None:
        super().__init__(f"line {line}: {words}")
        self.line = line
        self.words = words
