"""The JSON Schemas and the program agree: a public validator accepts and refuses what `check` does."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.cli import main
from proxy.errors import ConfigurationError
from proxy.plan.names import STOCK, stock_text
from proxy.plan.profile import Profile
from proxy.settings.model import Settings
from proxy.settings.reading import parse
from proxy.settings.schema import MODELS, schema_of
from tests.pages.parts import ROOT, yaml_examples
from tests.pages.schemas import FILES, text_of
from tests.unit.plan.test_profile import DOCUMENTED_JSON

EXAMPLES = sorted((ROOT / "examples").rglob("config.yaml"))
CHARTS = [ROOT / "charts/progressive-proxy/values.yaml", *sorted((ROOT / "examples").rglob("values.yaml"))]
HEAD = "origins: [{url: http://a}]\n"
GOOD = {
    "the least": "",
    "json": '{"origins": [{"url": "http://b"}]}',
    "units": "cache: {bytes: 4GiB, ttl: 12h}\n",
    "numbers": "cache: {bytes: 1048576, ttl: 0.5}\nlisten: {grace: 0}\n",
    "a policy alone": "access: shared\n",
    "a section": "access: {policy: ask-origin, ttl: 1m, identity: token}\n",
    "nothing": "cache: {}\nchoose: []\n",
    "profiles": "profiles: {a: {first: 1/16}, b: {first: '≥ 256'}, c: {first: {decodeLevel: 4}}}\n",
    "one upon another": "profiles: {a: {extends: interleaved, validators: off}}\n",
    "code": "profiles:\n  a: |\n    {retrieveOptions: {}} // as pasted\n",
    "a spread": "profiles: {a: {...interleavedRetrieveStages, retrieveOptions: {default: {}}}}\n",
    "a product": "profiles: {a: {retrieveOptions: {f: {rangeIndex: 0, chunkSize: 128 * 1024}}}}\n",
    "by syntax": "profiles: {a: {retrieveOptions: {f: {default: {}, 1.2.840.10008.1.2.4.202: {}}}}}\n",
    "enumerations": "profiles: {a: {stages: [{id: a, requestType: RequestType.PREFETCH, "
    "nearbyFrames: [{offset: 1, imageQualityStatus: ImageQualityStatus.LOSSY}]}]}}\n",
    "rules": "choose: [{profile: single, modality: [CT, MR], size_at_least: 512x512, header: {X-A: b}}]\n",
    "alternates": "alternates: {a: {path: /a/, codec: jpegls, scale: 1/16 area}, b: {path: /b/}}\n",
    "tls": "listen: {tls: {certificate_file: c, key_file: k, client_ca_file: a}}\n",
    "a maximum": "alternates: {a: {path: /a/, scale: '≤ 512'}}\n",
    "ways": "origins: [{name: a, url: http://a, via: 'http://b:3128'}, "
    "{name: b, url: http://c, via: environment}]\n",
    "a way with a login": "origins: [{url: http://a, via: {url: http://b, user: c, password_file: d}}]\n",
    "nulls": "audit: {file: null}\nbounds: {connections: null}\n",
}
BAD = {
    "no origin": "origins: []\n",
    "an unknown key": "cahce: {}\n",
    "an unknown key below": "cache: {size: 1}\n",
    "a url without a scheme": "origins: [{url: 'pacs:80'}]\n",
    "a url with a user": "origins: [{url: 'http://u:p@pacs'}]\n",
    "a name in capitals": "origins: [{name: A, url: http://a}]\n",
    "bytes of another kind": "cache: {bytes: 3 cups}\n",
    "too few bytes": "cache: {bytes: 1024}\n",
    "negative bytes": "listen: {body_rate: -5}\n",
    "a duration of another kind": "cache: {ttl: 12 hours}\n",
    "no duration": "cache: {ttl: 0}\n",
    "an address without a port": "listen: {viewers: localhost}\n",
    "a policy that is none": "access: everybody\n",
    "a level that is none": "log: {level: loud}\n",
    "a list for a mapping": "log: []\n",
    "nothing for a mapping": "log:\n",
    "a number for a word": "profile: 7\n",
    "a cookie with a space": "access: {cookies: [a b]}\n",
    "a page with a path": "cors: {origins: [https://a/b]}\n",
    "a stage without an id": "profiles: {a: {stages: [{decimate: 2}]}}\n",
    "no stage": "profiles: {a: {stages: []}}\n",
    "a decimation by nothing": "profiles: {a: {stages: [{id: a, decimate: 0}]}}\n",
    "a position between images": "profiles: {a: {stages: [{id: a, positions: [1.5]}]}}\n",
    "a queue that is none": "profiles: {a: {stages: [{id: a, requestType: urgent}]}}\n",
    "a quality that is none": "profiles: {a: {retrieveOptions: {f: {imageQualityStatus: GOOD}}}}\n",
    "a misspelt option": "profiles: {a: {retrieveOptions: {f: {rangeIdx: 0}}}}\n",
    "a misspelt option with an object": "profiles: {a: {retrieveOptions: {f: {rangeIdx: {}}}}}\n",
    "a function": "profiles: {a: {create: x}}\n",
    "a first of nothing": "profiles: {a: {first: 12}}\n",
    "a spread of nothing": "profiles: {a: {...others, stages: [{id: a}]}}\n",
    "a path with two segments": "alternates: {a: {path: /a/b/}}\n",
    "a scale that is none": "alternates: {a: {path: /a/, scale: 5}}\n",
    "a rule without a profile": "choose: [{modality: CT}]\n",
    "an empty list in a rule": "choose: [{profile: single, modality: []}]\n",
    "half a size": "choose: [{profile: single, size_at_least: 512}]\n",
    "a certificate without a key": "listen: {tls: {certificate_file: c}}\n",
    "a way with a login in its url": "origins: [{url: http://a, via: 'http://u:p@b'}]\n",
    "a way that is no url": "origins: [{url: http://a, via: squid}]\n",
    "a way with half a login": "origins: [{url: http://a, via: {url: http://b, user: c}}]\n",
    "a password of nobody": "origins: [{url: http://a, credentials: {password_file: p}}]\n",
}  # fmt: skip


@cache
def validator(kind: str) -> Any:
    import jsonschema  # it takes seconds, which each process that collects the tests would spend

    return jsonschema.Draft202012Validator(schema_of(kind))


def whole(text: str) -> str:
    return text if text.startswith(("origins", "{")) else HEAD + text


def as_json(text: str) -> Any:  # any value
    """A YAML text as an editor has it."""
    return yaml.safe_load(text)


def refused_by_program(text: str) -> bool:
    try:
        parse(text, "f.yaml", Settings)
    except ConfigurationError:
        return True
    return False


def patterns(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        for key, below in schema.items():
            yield from below if key == "patternProperties" else ()
            yield from patterns(below)
    elif isinstance(schema, list):
        for below in schema:
            yield from patterns(below)


def test_the_table_is_long() -> None:
    assert len(GOOD) + len(BAD) >= 30


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_schema_and_program_accept(text: str) -> None:
    assert not refused_by_program(whole(text))
    validator("configuration").validate(as_json(whole(text)))


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_schema_and_program_refuse(text: str) -> None:
    assert refused_by_program(whole(text))
    assert not validator("configuration").is_valid(as_json(whole(text)))


@pytest.mark.parametrize("kind", MODELS)
def test_a_schema_is_valid_and_has_a_name_without_a_host(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--schema", *([] if kind == "configuration" else [kind])]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == schema_of(kind)
    assert printed["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert printed["$id"] == f"urn:progressive-proxy:{kind}"
    validator(kind).check_schema(printed)


@pytest.mark.parametrize("kind", MODELS)
def test_an_editor_understands_each_regular_expression(kind: str) -> None:
    """Editors take them as ECMA 262 with the flag `u`, which is stricter than Python."""
    found = sorted(set(patterns(schema_of(kind))))
    assert len(found) > 5
    for each in found:
        assert re.match(r"\^.*\$$", each), f"{each} has to hold for the whole text"
    if shutil.which("node") is None:
        pytest.skip("node is missing")
    code = f"for (const each of {json.dumps(found)}) new RegExp(each, 'u')"
    subprocess.run(["node", "-e", code], check=True, timeout=240)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_the_schema_accepts_the_examples(path: Path) -> None:
    validator("configuration").validate(as_json(path.read_text("utf-8")))


@pytest.mark.parametrize("path", CHARTS, ids=lambda path: path.parent.name)
def test_the_schema_accepts_the_charts_values(path: Path) -> None:
    values = as_json(path.read_text("utf-8"))
    config = values.get("proxy", values)["config"]
    if config.get("origins") == []:  # the chart's own values leave this to its user
        config = config | {"origins": [{"url": "http://a"}]}
    validator("configuration").validate({"origins": [{"url": "http://a"}]} | config)


@pytest.mark.parametrize("block", [block for _, block in yaml_examples()])
def test_the_schemas_accept_the_examples_of_the_pages(block: str) -> None:
    found = as_json(block)
    if set(found) <= set(Settings.model_fields):
        validator("configuration").validate(found)
    elif set(found) <= {field.alias or name for name, field in Profile.model_fields.items()}:
        validator("profile").validate(found)


@pytest.mark.parametrize("text", [*map(stock_text, STOCK), *DOCUMENTED_JSON.values()])
def test_the_schema_of_profiles_accepts_stock_and_documented_ones(text: str) -> None:
    validator("profile").validate(as_json(text))
    validator("configuration").validate({"origins": [{"url": "http://a"}], "profiles": {"a": as_json(text)}})


def test_the_examples_name_their_schema_which_is_up_to_date() -> None:
    for path in EXAMPLES:
        first = path.read_text("utf-8").splitlines()[0]
        named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
        assert named is not None, path
        assert (path.parent / named[1]).resolve() == FILES["configuration"]
    for kind, file in FILES.items():
        assert file.read_text("utf-8") == text_of(kind), "python -m tests.pages writes it"
