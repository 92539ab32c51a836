"""Records the requests and responses between the browser and the proxy, which the page cannot see."""

from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from tests.house import House


@dataclass(frozen=True)
class Turn:
    """One request of the browser for a frame, and the response."""

    range: str | None
    guard: str
    """Name of the conditional header. Empty if there was none."""
    status: int


@dataclass
class Between:
    """Middleware in front of the proxy. It can remove the proxy's ETag to test the browser without it."""

    app: ASGIApp
    keeps_etag: bool = True
    turns: list[Turn] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        guard = next((name for name in ("if-none-match", "if-range") if name in asked), "")

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                if "/frames/" in scope["path"]:
                    self.turns.append(Turn(asked.get("range"), guard, message["status"]))
                if not self.keeps_etag:
                    kept = [pair for pair in message["headers"] if pair[0] != b"etag"]
                    message = {**message, "headers": kept}
            await send(message)

        await self.app(scope, receive, sending)

    def taken(self) -> list[Turn]:
        """The turns recorded since the last call."""
        taken, self.turns = self.turns, []
        return taken


def between(home: House, *, keeps_etag: bool = True) -> Between:
    """Puts the middleware in front of a house's proxy. From then on each request goes through it."""
    home.app.repeats.are_kept = False
    home.door._app = made = Between(home.app.viewers, keeps_etag)
    return made
