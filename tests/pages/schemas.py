"""The JSON Schemas in `examples`, which the files there name for editors."""

import json

from proxy.settings.schema import MODELS, schema_of
from tests.pages.parts import ROOT

FILES = {kind: ROOT / "examples" / f"{kind}.schema.json" for kind in MODELS}
"""For each kind of file, the schema's file."""


def text_of(kind: str) -> str:
    """The contents of a schema's file."""
    return json.dumps(schema_of(kind), indent=1, ensure_ascii=False) + "\n"
