"""CORS: which pages from other origins may read responses, and which headers (the Fetch standard).

`Content-Range` has to be exposed by name. Without it Cornerstone3D takes a frame to be endless, and `*` has
no effect on requests with credentials.
"""

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Send

EXPOSED = (
    "Accept-Ranges", "Age", "Cache-Status", "Content-Length", "Content-Range", "ETag", "Not-Progressive",
    "Not-Reduced", "Problem", "Resolution", "Resolution-Ends", "Retry-After", "Server-Timing",
)  # fmt: skip
"""Headers of responses that pages may read."""
TAKEN = (
    "Accept", "Authorization", "Content-Type", "If-Match", "If-None-Match", "If-Range", "Range",
    "Retrieve-Profile", "traceparent", "tracestate",
)  # fmt: skip
"""Headers of requests that pages may send."""
_OF_PAGES = (b"access-control-", b"timing-allow-origin")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")


class Sharing(CORSMiddleware):
    """CORS that also covers timing: a page may measure the responses that it may read (Resource Timing).

    CORS headers from an origin are dropped. An origin knows its own users, but not which pages may read here.
    """

    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        """Sends a response with the proxy's own CORS headers only."""
        if message["type"] == "http.response.start":
            own = [pair for pair in message["headers"] if not pair[0].lower().startswith(_OF_PAGES)]
            message = {**message, "headers": own}
        await super().send(message, send, request_headers)

    @staticmethod
    def allow_explicit_origin(headers: MutableHeaders, origin: str) -> None:
        """Allows a page's origin to read and to measure the response."""
        CORSMiddleware.allow_explicit_origin(headers, origin)
        headers["Timing-Allow-Origin"] = origin


def shared(
    app: ASGIApp,
    origins: Sequence[str],
    *,
    headers: Sequence[str] = (),
    credentials: bool,
    private_network: bool,
    max_age: int,
) -> ASGIApp:
    """The app with CORS for pages of these `origins`, which may send more `headers`.

    Returns the app itself if there are no origins. `max_age` is in seconds.
    """
    if not origins:
        return app
    sharing = Sharing(
        app,
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=(*TAKEN, *headers),
        allow_credentials=credentials,
        allow_private_network=private_network,
        expose_headers=EXPOSED,
        max_age=max_age,
    )
    if sharing.allow_all_origins:
        sharing.simple_headers["Timing-Allow-Origin"] = "*"
    return sharing
