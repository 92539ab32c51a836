"""Retrieve profiles: how the frames of a series are fetched, in Cornerstone3D's own words.

The keys of a viewer's retrieve configuration keep their spelling, so that one can be pasted in as it
is; YAML is a superset of JSON. `first` and `complete` are ours. A door to pydantic and yaml.
"""

from functools import cache
from importlib import resources
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from proxy.errors import UnknownName

KIB = 1024
DEFAULT_CHUNK = 64 * KIB
"""Bytes of a first fetch, and of each range, where nothing else is said."""

STOCK = ("sequential", "single", "streaming")
"""Profiles that are always there; the first is the default."""

_UNITS = {"": 1, "B": 1, "KiB": KIB, "MiB": KIB**2, "GiB": KIB**3, "kB": 1000, "MB": 1000**2, "GB": 1000**3}


def _bytes(value: object) -> object:
    if not isinstance(value, str):
        return value
    digits = value.rstrip("BGKMik ")
    unit = value[len(digits) :].strip()
    if not digits.isascii() or not digits.isdigit() or unit not in _UNITS:
        raise ValueError("a number of bytes, such as 65536, 64KiB or 2GiB")
    return int(digits) * _UNITS[unit]


ByteCount = Annotated[int, BeforeValidator(_bytes)]
"""A number of bytes, also written with a unit: 64KiB, 2GiB."""


class Words(BaseModel):
    """A frozen value whose unknown keys are refused, and whose docstrings are its documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ViewerWords(Words):
    """The same in a viewer's spelling."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=False, validate_by_alias=True)


class Stage(ViewerWords):
    """Which images of a series are fetched now, and how."""

    id: str
    """Its name, in events and messages."""
    positions: tuple[float, ...] | None = None
    """Images by position: negative from the end, below 1 a fraction, else an index (0-based)."""
    decimate: int | None = Field(None, ge=1)
    """Each so-many-th image; `positions` wins over it."""
    offset: int | None = Field(None, ge=0)
    """The first image (0-based) when decimating."""
    retrieve_type: str = "default"
    """The key of the options to use."""
    request_type: Literal["interaction", "thumbnail", "prefetch", "compute"] = "interaction"
    """The queue that it waits in, in this order."""
    priority: int = -5
    """Lower goes first within a queue."""


class RetrieveOptions(ViewerWords):
    """How one image is fetched in a stage."""

    range_index: int | None = Field(None, ge=-1)
    """Which range, 0-based; -1 is all that remains; absent is the whole image."""
    chunk_size: ByteCount = Field(DEFAULT_CHUNK, ge=1)
    """Bytes of each range."""
    streaming: bool = False
    """One request, whose bytes are shown as they arrive."""
    decode_level: int | None = Field(None, ge=0)
    """The viewer's reduction, 0 is full size; the proxy does not decode."""


class Profile(ViewerWords):
    """A retrieve configuration, and what the proxy adds to it."""

    stages: tuple[Stage, ...] = (Stage.model_validate({"id": "initialImages", "retrieveType": "single"}),)
    """In order. For each image the next one starts when the last one ended."""
    retrieve_options: dict[str, RetrieveOptions] = Field(default_factory=dict)
    """Options by `retrieveType`, else `default`, else the whole image."""
    first: ByteCount | None = Field(None, ge=KIB)
    """Bytes of the first fetch, instead of what the first stage says."""
    complete: Literal["always", "on-demand"] = "always"
    """Whether a frame that was begun is fetched to its end, or only as far as viewers ask."""

    @model_validator(mode="after")
    def _has_a_stage(self) -> Self:
        if not self.stages:
            raise ValueError("stages: at least one")
        return self


@cache
def stock_profile(name: str) -> Profile:
    """A profile that comes with the proxy. Raises `UnknownName`."""
    if name not in STOCK:
        raise UnknownName(f"no profile of that name; there are {', '.join(STOCK)}")
    text = resources.files("proxy.plan").joinpath("stock", f"{name}.yaml").read_text("utf-8")
    return Profile.model_validate(yaml.safe_load(text))
