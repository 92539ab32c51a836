"""The JSON Schemas of a configuration and of a profile's file, for editors and validators.

A schema can't say how settings of different sections depend on each other. `check` knows more.
"""

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from proxy.plan.profile import Profile
from proxy.settings.model import Settings

MODELS: dict[str, type[BaseModel]] = {"configuration": Settings, "profile": Profile}
"""The kinds of files."""


def schema_of(kind: str) -> JsonSchemaValue:
    """The schema of a kind of file. Its name is a URN, because it is published at no address."""
    head = {"$schema": GenerateJsonSchema.schema_dialect, "$id": f"urn:progressive-proxy:{kind}"}
    return head | MODELS[kind].model_json_schema()
