"""Retrieve profiles: how the frames of a series are fetched, in Cornerstone3D's own words.

The keys of a viewer's retrieve configuration keep their spelling, so that one can be pasted in as it
is; YAML is a superset of JSON. `barrier` and all of a profile but `stages` and `retrieveOptions` are
ours. A door to pydantic and yaml.
"""

from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.functional_validators import AfterValidator
from pydantic_core import InitErrorDetails, PydanticCustomError

from proxy.codestream.reach import ResolutionTarget
from proxy.errors import UnknownName
from proxy.plan import values
from proxy.plan.values import KIB, ImageQuality

STOCK = (
    "sequential", "single", "streaming", "interleaved", "coarseInterleaved", "byteRange", "jls", "jlsReduced",
    "htj2kReduced",
)  # fmt: skip
"""Profiles that are always there; the first is the default."""

ByteCount = Annotated[int, BeforeValidator(values.byte_count)]
"""A number of bytes, also written with a unit: 64KiB, 2GiB."""
First = Annotated[int | ResolutionTarget, BeforeValidator(values.first), PlainSerializer(values.written)]
"""How far from byte 0: bytes, or a resolution as 1/16, or the width that it has at least as "≥ 256"."""
Position = Annotated[float, Field(allow_inf_nan=False), AfterValidator(values.position)]
Quality = Annotated[float, BeforeValidator(values.image_quality)]
RequestType = Literal["interaction", "thumbnail", "prefetch", "compute"]
Visible = Annotated[str, Field(pattern=r"^[!\"$-~]*$")]
"""Part of a URL: ASCII without space or `#`."""


class FrozenModel(BaseModel):
    """A frozen value whose unknown keys are refused, and whose docstrings are its documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ViewerModel(FrozenModel):
    """The same in a viewer's spelling, without a viewer's functions."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=False, validate_by_alias=True)

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_function(cls, value: object) -> object:
        return values.no_function(value)


class NearbyFrame(ViewerModel):
    """An image that a viewer shows a copy at until its own comes."""

    offset: int
    """How many images farther; negative is before."""
    image_quality_status: Quality | None = None
    """How good the copy counts there."""


class Stage(ViewerModel):
    """Which images of a series are fetched now, and how."""

    id: str
    """Its name, in events and messages."""
    positions: tuple[Position, ...] | None = None
    """Images by position: negative from the end, below 1 a fraction, else an index (0-based)."""
    decimate: int | None = Field(None, ge=1)
    """Each so-many-th image; `positions` wins over it."""
    offset: int | None = Field(None, ge=0)
    """The first image (0-based) when decimating."""
    retrieve_type: str = "default"
    """The key of the options to use."""
    request_type: Annotated[RequestType, BeforeValidator(values.request_type)] = "interaction"
    """The queue that it waits in: interaction, thumbnail, prefetch, compute, in this order."""
    priority: int = -5
    """Lower goes first within a queue."""
    nearby_frames: tuple[NearbyFrame, ...] = ()
    """`offset` and `imageQualityStatus` of images that a viewer fills with copies; the proxy makes none."""
    barrier: bool = False
    """Ours: whether it waits until all earlier stages have ended for all images."""


class RetrieveOptions(ViewerModel):
    """How one image is fetched in a stage."""

    url_arguments: Visible | None = None
    """Arguments for the URL, such as `accept=image/jphc`."""
    frames_path: Visible | None = Field(None, pattern="^/")
    """What stands in the URL instead of `/frames/`."""
    image_quality_status: Quality | None = None
    """How good the whole answer counts, by number or name; below FULL_RESOLUTION (8) no stage is skipped."""
    decode_level: int | None = Field(None, ge=0)
    """The viewer's reduction, 0 is full size; the proxy does not decode."""
    streaming: bool = False
    """One request, whose bytes are shown as they arrive."""
    range_index: int | None = Field(None, ge=-1)
    """Which range, 0-based; -1 is all that remains; absent is the whole image."""
    chunk_size: ByteCount | None = Field(None, ge=0)
    """Bytes of each range: 64KiB, or 128KiB beside `initialChunkSize`. An image's first range decides."""
    initial_chunk_size: ByteCount | None = Field(None, ge=0)
    """Bytes of range 0, as newer viewers have it; absent, it has `chunkSize` too."""
    first: First | None = None
    """Ours: how far it is fetched from byte 0, instead of a range: `64KiB`, `1/4`, `"≥ 256"` pixels wide."""
    ms_between_decode: float | None = Field(None, ge=0)
    """Accepted and ignored."""
    min_chunk_size: ByteCount | None = Field(None, ge=0)
    """Accepted and ignored."""

    @property
    def is_full(self) -> bool:
        """Whether its whole answer is all there is of an image."""
        return (self.image_quality_status or ImageQuality.FULL_RESOLUTION) >= ImageQuality.FULL_RESOLUTION


class Prefetch(ViewerModel):
    """What is fetched before anybody asks."""

    trigger: Literal["none", "first-frame", "metadata"] = "none"
    """What starts it for a series: nothing, a viewer's first frame of it, or its metadata."""
    budget: ByteCount = Field(256 * KIB**2, ge=0)
    """Bytes that it may fetch of a series."""
    window: int | None = Field(None, ge=0)
    """Frames on each side of the last asked one; none is the whole series."""


def _by_syntax(value: object, read: Callable[[object], Any]) -> Any:  # noqa: ANN401  # as pydantic has it
    """Options by transfer syntax: what is written flat holds for all."""
    if values.is_by_syntax(value):
        return read(value)
    return {"default": RetrieveOptions.model_validate(values.no_function(value))}


BySyntax = Annotated[
    dict[str, RetrieveOptions],
    WrapValidator(_by_syntax, json_schema_input_type=RetrieveOptions | dict[str, RetrieveOptions]),
]
"""Options by transfer syntax UID or `default`."""


class Profile(ViewerModel):
    """A retrieve configuration, and what the proxy adds to it."""

    stages: tuple[Stage, ...] = (Stage.model_validate({"id": "initialImages", "retrieveType": "single"}),)
    """In order. For each image the next one starts when the last one ended."""
    retrieve_options: dict[str, BySyntax] = Field(default_factory=dict)
    """Options by `retrieveType`, else `default`, else the whole image; each may be by transfer syntax UID."""
    first: First | None = None
    """How far the first fetch goes, instead of what the first stage says: `64KiB`, `1/16`, `"≥ 256"`."""
    complete: Literal["always", "on-demand"] = "always"
    """Whether a frame that was begun is fetched to its end, or only as far as viewers ask."""
    validators: Annotated[Literal["strict", "length", "off"] | None, BeforeValidator(values.off)] = None
    """What must agree before a completion is appended: a strong validator (`strict`; without one the frame is
    fetched by one request), or total, transfer syntax and the codestream's markers (`length`), or the total
    alone (`off`). Absent: `strict` where there is a strong validator, else `length`."""
    prefetch: Prefetch = Prefetch()
    """What is fetched before anybody asks."""

    @model_validator(mode="before")
    @classmethod
    def _has_no_create(cls, value: object) -> object:
        if isinstance(value, dict) and "create" in value:
            fault = PydanticCustomError("function", values.NO_FUNCTION + ": leave it out")
            details = InitErrorDetails(type=fault, loc=("create",), input=value["create"])
            raise ValidationError.from_exception_data(cls.__name__, [details])
        return value

    @model_validator(mode="after")
    def _has_a_stage(self) -> Self:
        if not self.stages:
            raise ValueError("stages: at least one")
        return self

    def options_for(self, transfer_syntax: str | None = None) -> dict[str, RetrieveOptions]:
        """The options by `retrieveType` for frames of a transfer syntax; None is one that is not known."""
        found = {
            key: options.get(transfer_syntax or "default") or options.get("default")
            for key, options in self.retrieve_options.items()
        }
        return {key: options for key, options in found.items() if options is not None}


def stock_text(name: str) -> str:
    """The file of a profile that comes with the proxy, as it is. Raises `UnknownName`."""
    if name not in STOCK:
        raise UnknownName(f"no profile of that name; there are {', '.join(STOCK)}")
    return resources.files("proxy.plan").joinpath("stock", f"{name}.yaml").read_text("utf-8")


@cache
def stock_profile(name: str) -> Profile:
    """A profile that comes with the proxy. Raises `UnknownName`."""
    return Profile.model_validate(yaml.safe_load(stock_text(name)))
