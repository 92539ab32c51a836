"""Pages from other origins: who may read answers here, and which headers of them (the Fetch standard's CORS).

A viewer needs `Content-Range` exposed by name: without it Cornerstone3D takes a frame for endless, and `*`
does not count where credentials go along.
"""

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Send

EXPOSED = (
    "Accept-Ranges", "Cache-Status", "Content-Length", "Content-Range", "ETag", "Not-Progressive",
    "Not-Reduced", "Problem", "Resolution", "Resolution-Ends", "Retry-After", "Server-Timing",
)  # fmt: skip
"""Headers of answers that pages may read."""
TAKEN = (
    "Accept", "Authorization", "Content-Type", "If-None-Match", "If-Range", "Range", "Retrieve-Profile",
    "traceparent", "tracestate",
)  # fmt: skip
"""Headers that pages may send."""
_OF_PAGES = (b"access-control-", b"timing-allow-origin")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")


class Sharing(CORSMiddleware):
    """The same for the timing of answers, which a page may measure if it may read them (Resource Timing).

    The origin's own CORS headers are left out: it knows who proves what to it, but not who may read here.
    """

    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        """Sends an answer with what we say of pages, and nothing else."""
        if message["type"] == "http.response.start":
            own = [pair for pair in message["headers"] if not pair[0].lower().startswith(_OF_PAGES)]
            message = {**message, "headers": own}
        await super().send(message, send, request_headers)

    @staticmethod
    def allow_explicit_origin(headers: MutableHeaders, origin: str) -> None:
        """Says that this origin may."""
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
    """The app for pages of these origins, which may send further `headers`; as it is if there are none."""
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
