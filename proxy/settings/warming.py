"""The section `warm`: what is fetched before anybody asks. Imports pydantic."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from proxy.errors import NotAcceptable
from proxy.plan.dates import absolute, next_time
from proxy.plan.kinds import ByteCount, FrozenModel, Seconds, Spelled
from proxy.wire.wanted import first_form

GIB = 1024**3

Attribute = Annotated[
    str, Spelled(r"[A-Za-z0-9.]+", "must be the keyword or the tag of an attribute, such as StudyDate")
]


def _schedule(text: str) -> str:
    next_time(text, datetime(2026, 1, 1))  # noqa: DTZ001  # any time will do
    return text


def _form(accept: str) -> str:
    try:
        first_form(accept)
    except NotAcceptable as error:
        raise ValueError(str(error)) from None
    return accept


class PriorsSettings(FrozenModel):
    """Earlier studies of the patients that a search finds, by `PatientID`."""

    studies: int = Field(0, ge=0, le=100)
    """Maximum number of earlier studies of each patient, the newest first; 0 is none."""
    days: int = Field(1825, ge=1, le=36500)
    """Maximum age of an earlier study in days."""


class WarmSettings(FrozenModel):
    """Studies that the proxy fetches before anybody asks, found by a search."""

    name: Annotated[
        str, Spelled(r"[a-z0-9][a-z0-9-]{0,62}", "must be lower-case letters, digits and -, at most 63")
    ]
    """Name, for the admin API and the command `warm`."""
    origin: str | None = None
    """Name of the origin; may be left out if there is a default origin."""
    search: dict[Attribute, str | int] = Field(min_length=1)
    """Parameters of the search for studies, with dates such as `today-2..`; see the page on plans."""
    every: Seconds | None = Field(None, ge=1)
    """Seconds from the end of one time to the next; the first one is at the start."""
    cron: Annotated[str, AfterValidator(_schedule)] | None = None
    """Schedule with the five fields of cron, in the time zone of the process, instead of `every`."""
    profile: str | None = None
    """Profile for all series; by default the proxy chooses it for each series as for a viewer's request."""
    fetch: Literal["metadata", "thumbnails", "first", "all"] = "all"
    """How much of each series: `metadata`, one image, the `first` fetch of each frame, or `all`."""
    accept: Annotated[str, AfterValidator(_form)] | None = None
    """Media types that viewers send in `Accept` for frames, such as `image/jls`; HTJ2K by default."""
    budget: ByteCount = Field(10 * GIB, ge=1)
    """Maximum bytes to fetch each time; each series also has the budget of its profile."""
    requests: int | None = Field(None, ge=1)
    """Maximum number of fetches each time; none means no limit."""
    studies: int = Field(200, ge=1, le=10_000)
    """Maximum number of studies that the search may find; more are left out."""
    priors: PriorsSettings = PriorsSettings()
    """Earlier studies of the same patients."""
    token_file: Path | None = None
    """File with a bearer token to read with, if the proxy has no credentials of its own at the origin."""

    @field_validator("search")
    @classmethod
    def _is_understood(cls, search: dict[str, str | int]) -> dict[str, str | int]:
        for name, value in search.items():
            try:
                absolute(str(value), date(2026, 1, 1))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return search

    @model_validator(mode="after")
    def _has_one_schedule(self) -> Self:
        if self.every is not None and self.cron is not None:
            raise ValueError("every: set every or cron, not both")
        return self
