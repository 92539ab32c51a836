"""The configuration over HTTP, on the admin listener: each value in force, and what a file would change.

Settings name files of secrets, and never are secrets, so they can be shown to operators.
"""

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from proxy.errors import BadRequest
from proxy.settings.inforce import Change, InForce, Source, Takes


class Value(BaseModel):
    """One value that is in force."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    key: str
    """Path of the setting, such as `cache.bytes` or `origins[pacs].url`."""
    value: Any
    """The value. A URL has no query, which could be a secret."""
    source: Source
    """Where it comes from; `program` if neither a file nor the environment set it."""
    at: str
    """File and line, or the variable's name; empty for a default."""


class Configuration(BaseModel):
    """The configuration in force."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    file: str | None
    """The file from which it was read; None if there was none."""
    values: list[Value]
    """All values, in the order of the documentation."""


class ChangedValue(BaseModel):
    """One value that another file changes."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    key: str
    """Path of the setting."""
    before: Any
    """The value in force; null if there is none."""
    after: Any
    """The value in the other file; null if there is none."""
    at: str
    """File and line of the other value; empty for a default."""
    takes: Takes
    """When it would count. New workers come with a SIGHUP."""


class ChangedFile(BaseModel):
    """The effect of another file."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    faults: list[str]
    """Its faults, with lines. If there are any, the proxy takes none of it."""
    differences: list[ChangedValue]
    """Values that would be others; empty if it changes nothing."""


def create_configuration_api(in_force: InForce) -> APIRouter:
    """Builds the routes."""
    router = APIRouter(prefix="/configuration", tags=["configuration"])

    @router.get("", summary="Each value in force, and where it comes from.")
    async def look() -> Configuration:
        values = await asyncio.to_thread(in_force.values)
        file = None if in_force.path is None else str(in_force.path)
        return Configuration(file=file, values=[Value(**asdict(each)) for each in values])

    @router.get("/change", summary="What the file, as it is on disk now, would change.")
    async def change_on_disk() -> ChangedFile:
        return _told(await asyncio.to_thread(in_force.change_on_disk))

    @router.post(
        "/change",
        summary="What a file with the text in the body would change. Nothing is changed.",
        openapi_extra={"requestBody": {"content": {"application/yaml": {"schema": {"type": "string"}}}}},
    )
    async def change(request: Request) -> ChangedFile:
        try:
            text = (await request.body()).decode()
        except UnicodeDecodeError as error:
            raise BadRequest("the body must be YAML in UTF-8") from error
        return _told(await asyncio.to_thread(in_force.change, text))

    return router


def _told(change: Change) -> ChangedFile:
    differences = [ChangedValue(**asdict(each)) for each in change.differences]
    return ChangedFile(faults=list(change.faults), differences=differences)
