"""Serves the files in `web` as they are: HTML, CSS and ES modules, written by hand, without a build step.

The Content-Security-Policy is the proof that a page asks nobody else. The browser refuses inline scripts and
styles, and every request to another server than those that the policy lists.
"""

import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

MEDIA = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
"""Media types by the end of a file's name. Other files are not served."""
TABS = b"<!-- tabs -->"
"""Stands in a page for the links to the pages beside it."""


STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""The Content-Security-Policy of a page that asks only its own server."""


def policy(connect: Iterable[str] = (), *, has_wasm: bool = False) -> str:
    """Returns the Content-Security-Policy of a page that may also ask the servers in `connect`.

    `has_wasm` also permits WebAssembly of the page's own.

    >>> "connect-src 'self' http://127.0.0.1:8080;" in policy(["http://127.0.0.1:8080"])
    True
    """
    asked = " ".join(("'self'", *connect))
    scripts = "script-src 'self' 'wasm-unsafe-eval'; " if has_wasm else ""
    return (
        f"default-src 'self'; {scripts}connect-src {asked}; img-src 'self' blob: data:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def headers_of_pages(connect: Iterable[str] = (), *, is_strict: bool = False) -> dict[str, str]:
    """Returns the headers of every response of a page, its data included."""
    return {
        "content-security-policy": STRICT if is_strict else policy(connect),
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


class Assets:
    """An ASGI app with the files of the pages. `/` is the page named `index`."""

    def __init__(
        self,
        index: str,
        connect: Iterable[str] = (),
        tabs: Mapping[str, str] | None = None,
        policies: Mapping[str, str] | None = None,
        *,
        is_strict: bool = False,
    ) -> None:
        """Reads all files once. `connect` lists more servers that the page may ask, such as the proxy.

        `tabs` has the title of each page that is served side by side with others, by file. `policies` has
        the policy of each file that needs one of its own. A page that is strict asks only its own server,
        and shows no images but those there.
        """
        self._policies = policies or {}
        self._headers = headers_of_pages(connect, is_strict=is_strict)
        self._files = {
            name: (media, body.replace(TABS, _links(name, index, tabs or {})))
            for name, (media, body) in _read().items()
        }
        self._files[""] = self._files[index]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request for a file, by its name without folders."""
        response = self._answer(Request(scope, receive))
        await response(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        # A mount's own path is in front of the name, and no file is in a folder.
        name = request.url.path.rpartition("/")[2]
        file = self._files.get(name)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("only GET and HEAD\n", 405, {"allow": "GET, HEAD", **self._headers})
        if file is None:
            return PlainTextResponse("there is no such file\n", 404, self._headers)
        media, body = file
        tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
        headers = {**self._headers, "cache-control": "no-cache", "etag": tag}
        if name in self._policies:
            headers["content-security-policy"] = self._policies[name]
        if _has(request.headers, tag):
            return Response(status_code=304, headers=headers)
        return Response(body, headers={**headers, "content-type": media})


def _links(here: str, index: str, tabs: Mapping[str, str]) -> bytes:
    """Returns links to the pages beside this one; nothing if it stands by itself."""
    if len(tabs) < 2:
        return b""
    here_is = {here: ' aria-current="page"'}
    links = (
        f'<a href="{"./" if name == index else escape(name)}" data-page="{escape(name)}"'
        f"{here_is.get(name, '')}>{escape(title)}</a>"
        for name, title in tabs.items()
    )
    return f'<nav class="tabs" aria-label="Pages">{"".join(links)}</nav>'.encode()


def _has(headers: Headers, tag: str) -> bool:
    return tag in headers.get("if-none-match", "")


def _read() -> dict[str, tuple[str, bytes]]:
    """Returns media type and content of each file, by name."""
    found: Mapping[str, tuple[str, bytes]] = {
        file.name: (MEDIA[end], file.read_bytes())
        for file in (files("proxy.page") / "web").iterdir()
        if (end := file.name.rpartition(".")[2]) in MEDIA
    }
    return dict(found)
