"""The playground over HTTP, on the admin listener: what a retrieve configuration comes to."""

from typing import Any

from fastapi import APIRouter, Request, Response

from proxy.page.playground import MOST_IMAGES, Playground
from proxy.settings.playground import shown

_DESCRIBED: dict[str, Any] = {
    "parameters": [
        {
            "name": "images",
            "in": "query",
            "required": True,
            "description": "Number of images in the series.",
            "schema": {"type": "integer", "minimum": 1, "maximum": MOST_IMAGES},
        }
    ],
    "requestBody": {
        "description": "A retrieve configuration in YAML, JSON or JavaScript, or a profile.",
        "required": True,
        "content": {"text/plain": {"schema": {"type": "string"}, "example": "extends: interleaved"}},
    },
}


def create_playground_api() -> APIRouter:
    """Builds the route."""
    router, playground = APIRouter(tags=["playground"]), Playground(shown)

    @router.post(
        "/playground",
        summary="The fetches of a pasted retrieve configuration, warnings, and the YAML for it.",
        openapi_extra=_DESCRIBED,
    )
    async def play(request: Request) -> Response:
        return await playground.answer(request)

    return router
