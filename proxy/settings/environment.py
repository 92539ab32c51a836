"""Refuses environment variables that have the prefix of the settings but belong to none of them.

Kubernetes puts variables of each Service of a namespace into its pods. A Service whose name begins with
`progressive-proxy` is no mistake of a setting's name.
"""

import re
from collections.abc import Collection, Iterator, Mapping

from pydantic import BaseModel
from pydantic_settings import BaseSettings

from proxy.errors import ConfigurationError
from proxy.wire.meant import meant

_OF_A_SERVICE = re.compile(
    r".*SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|.*PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?", re.ASCII
)
_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


def refuse_unknown(environment: Mapping[str, str], model: type[BaseSettings], but: Collection[str]) -> None:
    """Raises `ConfigurationError` if a variable has the prefix and sets nothing, one line per variable.

    `but` names variables that the settings themselves refer to.
    """
    prefix = model.model_config["env_prefix"].upper()
    delimiter = model.model_config["env_nested_delimiter"] or "__"
    known = [prefix + name for name in _names(model, delimiter)]
    unknown = [
        name
        for name, value in environment.items()
        if name.upper().startswith(prefix)
        and name not in but
        and name[len(prefix) :].lower().partition(delimiter)[0] not in model.model_fields
        and not _is_of_a_service(name, value)
    ]
    if unknown:
        lines = (f"environment variable {name}: no such setting{meant(name, known)}" for name in unknown)
        raise ConfigurationError("\n".join(lines))


def _is_of_a_service(name: str, value: str) -> bool:
    is_address = name.endswith("PORT") and _ADDRESS.match(value) is not None
    return is_address or _OF_A_SERVICE.fullmatch(name) is not None


def _names(model: type[BaseModel], delimiter: str) -> Iterator[str]:
    """Yields the names of all settings, in capitals."""
    for name, field in model.model_fields.items():
        yield name.upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (f"{name.upper()}{delimiter}{below}" for below in _names(field.annotation, delimiter))
