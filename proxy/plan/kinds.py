"""The kinds of values that settings and profiles consist of. Each reads a text and has a JSON Schema.

Both stand side by side, so that an editor that knows the schema accepts what the program accepts.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from proxy.codestream.reach import ResolutionTarget
from proxy.plan import values


class FrozenModel(BaseModel):
    """A frozen model that refuses unknown keys and takes its documentation from docstrings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True)
class Written:
    """A value that a file may also spell in another way, such as `64KiB`."""

    read: Callable[[object], Any]
    """Reads the value as it stands in the file. Raises `ValueError`."""
    also: str
    """The other spelling, as a regular expression (Python and ECMA 262)."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Reads before the value is validated."""
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:  # noqa: ANN401  # as pydantic has it
        """The value's own schema, or the other spelling."""
        return {"anyOf": [handler(core["schema"]), {"type": "string", "pattern": f"^(?:{self.also})$"}]}


@dataclass(frozen=True)
class Spelled:
    """A text of a given form. The sentence says which; nobody should have to read the regular expression."""

    form: str
    """Regular expression of the whole text (ECMA 262 and Python)."""
    should: str
    """The rest of a sentence that begins with the key: `must be …`."""
    holds: Callable[[str], bool] = lambda _: True
    """A check beyond the regular expression, which a JSON Schema can't hold."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Checks after the text is validated as one."""
        form = re.compile(self.form, re.ASCII)

        def checked(text: str) -> str:
            if form.fullmatch(text) is None or not self.holds(text):
                raise ValueError(self.should)
            return text

        return core_schema.no_info_after_validator_function(checked, handler(source))

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:  # noqa: ANN401  # as pydantic has it
        """A text of this form."""
        return handler(core["schema"]) | {"pattern": f"^(?:{self.form})$"}


BOTH: Any = {"certificate_file": ["key_file"], "key_file": ["certificate_file"]}
"""For a JSON Schema: files that must be set together."""


class OrText:
    """Marks a value that may stand in a file as a text, which the value itself reads."""

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:  # noqa: ANN401  # as pydantic has it
        """The value's own schema, or a text."""
        return {"anyOf": [handler(core), {"type": "string"}]}


_BYTES = r"[0-9]+ *(B|[KMG]iB|kB|MB|GB)?|[0-9]+( *\* *[0-9]+)+"
_NUMBER = r"[0-9]+(\.[0-9]+)?"
_TIME = rf"{_NUMBER}|({_NUMBER} *(ms|s|min|m|h|d) *)+"
_SIZE = r"1/[0-9]{1,10}|(≥|>=) *[0-9]{1,5}"
_LEVEL = {"type": "object", "properties": {"decodeLevel": {"type": "integer", "minimum": 0, "maximum": 32}}}
_QUALITIES = "|".join(values.ImageQuality.__members__)

ByteCount = Annotated[int, Written(values.byte_count, _BYTES)]
"""A number of bytes, with an optional unit: 64KiB, 2GiB."""
Seconds = Annotated[float, Written(values.seconds, _TIME)]
"""A duration in seconds, or with units: 500ms, 30s, 1h30m."""
WholeSeconds = Annotated[int, Written(values.seconds, _TIME)]
"""A duration of whole seconds, or with units."""
First = Annotated[
    int | ResolutionTarget,
    BeforeValidator(values.first),
    PlainSerializer(values.written),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1024},
                {"type": "string", "pattern": f"^(?:{_BYTES}|{_SIZE})$"},
                _LEVEL | {"required": ["decodeLevel"], "additionalProperties": False},
            ]
        },
        mode="validation",
    ),
]
"""How far to fetch from byte 0: bytes, a resolution such as 1/16, or a minimum width such as "≥ 256"."""
Position = Annotated[
    float,
    Field(allow_inf_nan=False),
    AfterValidator(values.position),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "number", "minimum": 0, "exclusiveMaximum": 1}]}),
]
"""A fraction of a series, or an index."""
Quality = Annotated[
    float,
    BeforeValidator(values.image_quality),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 1, "maximum": 8},
                {"type": "string", "pattern": rf"^(ImageQualityStatus\.)?({_QUALITIES})$"},
            ]
        }
    ),
]
"""The quality of a picture, by number or name."""
RequestType = Annotated[
    Literal["interaction", "thumbnail", "prefetch", "compute"],
    Written(
        values.request_type,
        r"RequestType\.([Ii]nteraction|[Tt]humbnail|[Pp]refetch|[Cc]ompute|INTERACTION|THUMBNAIL|PREFETCH|COMPUTE)",
    ),
]
"""A queue, also as spelled in a viewer's code."""
Scale = Annotated[
    tuple[int, int],
    BeforeValidator(values.scale),
    PlainSerializer(values.scale_written),
    WithJsonSchema(
        {"type": "string", "pattern": r"^ *(1/[0-9]{1,10}( *area)?|(≤|<=) *[0-9]{1,5}) *$"}, mode="validation"
    ),
]
"""The divisor of width and height, or the maximum pixels of a side."""
CacheBytes = Annotated[
    int | Literal["auto"],
    BeforeValidator(values.cache_bytes),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1024**2},
                {"type": "string", "pattern": f"^(?:auto|{_BYTES})$"},
            ]
        }
    ),
]
"""A number of bytes, at least 1 MiB, or `auto`."""
OneOrMore = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    Field(min_length=1),
    Written(values.one_or_more, ".+"),
]
"""A text, or a list of texts."""
RowsAndColumns = Annotated[
    tuple[int, int],
    BeforeValidator(values.rows_and_columns),
    PlainSerializer(lambda size: f"{size[0]}x{size[1]}"),
    WithJsonSchema({"type": "string", "pattern": "^ *[0-9]{1,6} *[x×] *[0-9]{1,6} *$"}, mode="validation"),
]
"""The size of a picture, rows first."""
Visible = Annotated[str, Spelled(r'[!"$-~]*', "must be a part of a URL: ASCII without spaces and #")]
"""Part of a URL."""
FramesPath = Annotated[
    str, Spelled(r'/[!"$-~]*', "must begin with / and be ASCII without spaces and #, such as /jls/")
]
"""Part of a URL in place of `/frames/`."""
Cookie = Annotated[str, Spelled(r"[!#-'*+.0-9A-Z^-z|~-]+", "must be the name of a cookie, or *")]
"""Name of a cookie."""
Variable = Annotated[str, Spelled(r"[A-Za-z_][A-Za-z0-9_]*", "must be a variable's name")]
"""Name of an environment variable."""
UserName = Annotated[str, Spelled(r"[^:\x00-\x1f\x7f]+", "must be a name without a colon")]
"""Name of a user for Basic authentication (RFC 7617 2)."""
