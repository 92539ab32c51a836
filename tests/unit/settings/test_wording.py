"""Each setting refuses a wrong value in plain words, without a type of the program or a pattern."""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from proxy.errors import ConfigurationError
from proxy.settings.model import Settings
from proxy.settings.reading import parse

PROGRAM = re.compile(r"Input should|String should|should have|instance of|pattern|\^|\['|unable to|Settings")
"""Words that only a programmer knows."""
WRONG = {
    "a list": [[3]],
    "a mapping": {"§": 1},
    "a word": "§",
    "a number": -0.5,
    "nothing": None,
    "a date": "0",
}
PORTS = (
    ("origins", [{"url": "http://pacs:{}"}]),
    ("origins", [{"url": "http://a", "via": "http://squid:{}"}]),
    ("listen", {"public_url": "http://proxy:{}"}),
    ("cors", {"origins": ["https://page:{}"]}),
    ("access", {"jwt": {"jwks_url": "https://issuer:{}/keys", "issuer": "a", "audience": "b"}}),
    ("access", {"forward_auth": "https://issuer:{}/keys"}),
    ("traces", {"endpoint": "http://collector:{}/v1/traces"}),
    ("cache", {"shared": {"url": "valkey+sentinel://a,b:{}/primary"}}),
    ("cache", {"objects": {"url": "s3://bucket", "endpoint": "http://minio:{}"}}),
)
BRACKETS = [each for each in PORTS if "shared" not in each[1]]


def keys_of(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Each setting, and each section, by the way to it."""
    for name, field in model.model_fields.items():
        yield (*above, field.alias or name)
        for below in _models_in(field.annotation):
            if (below.__name__, name) != ("RetrieveOptions", "default"):
                yield from keys_of(below, (*above, field.alias or name))


def _models_in(kind: Any) -> Iterator[type[BaseModel]]:  # an annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    elif get_origin(kind) is not dict:
        for each in get_args(kind):
            yield from _models_in(each)


KEYS = sorted(set(keys_of(Settings)))


def faults(values: dict[str, Any]) -> list[str]:
    try:
        parse(json.dumps({"origins": [{"url": "http://pacs"}], **values}), "f.yaml", Settings)
    except ConfigurationError as error:
        return str(error).splitlines()
    return []


def placed(key: tuple[str, ...], value: object) -> dict[str, Any]:
    """A configuration with the value at this key. What stands in a list is its first."""
    for name in reversed(key[1:]):
        value = {name: value}
    return {key[0]: [value] if key[0] in ("origins", "choose", "warm") and len(key) > 1 else value}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_value_of_any_setting_gets_a_sentence_for_people(wrong: object) -> None:
    said = [line for key in KEYS for line in faults(placed(key, wrong))]
    assert len(said) > len(KEYS) / 3  # such a value is right for few settings
    assert [line for line in said if PROGRAM.search(line)] == []


@pytest.mark.parametrize(("section", "value"), PORTS)
def test_a_port_above_65535_is_refused_in_each_url(section: str, value: object) -> None:
    for port, is_refused in ((0, True), (65535, False), (65536, True), (99999, True), ("x", True)):
        said = faults({section: json.loads(json.dumps(value).replace("{}", str(port)))})
        assert any("a port is from 1 to 65535" in line or "host without a path" in line for line in said) == (
            is_refused
        )


@pytest.mark.parametrize(("section", "value"), BRACKETS)
def test_brackets_that_hold_no_address_are_refused_in_each_url(section: str, value: object) -> None:
    said = faults({section: json.loads(re.sub(r"(//)[a-z]+:\{\}", r"\1[:::]", json.dumps(value)))})
    assert any(re.search(r": must be https?://", line) for line in said)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"log": {"format": "txt"}}, "log.format: must be 'json' or 'text'; did you mean text?"),
        (
            {"workers": {"http": "many"}},
            "workers.http: must be a number of processes from 1 to 256, or cores",
        ),
        ({"access": {"jwt": {"issuer": "a"}}}, "access.jwt: issuer and audience must be set"),
        (
            {"listen": {"viewers": 8080}},
            "listen.viewers: must be a text; put it in quotes if it looks like a ",
        ),
    ],
)
def test_a_sentence_is_said_once_and_names_what_was_meant(values: dict[str, Any], said: str) -> None:
    [line] = faults(values)
    assert line.startswith(f"f.yaml:1: {said}")


def test_a_key_that_occurs_twice_is_said_once() -> None:
    with pytest.raises(ConfigurationError, match=r"\Af.yaml:1: url: the key occurs more than once\Z"):
        parse("origins: [{url: http://a, url: http://b}]", "f.yaml", Settings)
