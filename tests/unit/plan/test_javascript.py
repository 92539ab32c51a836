"""A viewer's configuration is taken as people paste it. Code gets a sentence."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from proxy.errors import ConfigurationError, NotUnderstood
from proxy.plan.javascript import read_javascript
from proxy.plan.literals import MAX_VALUES
from proxy.plan.plan import ordered
from proxy.plan.profile import Profile
from proxy.plan.spread import SPREADS, viewers_stages
from proxy.service.app import create_app
from proxy.settings.model import load
from proxy.settings.profiles import read_profile
from tests.unit.plan.cornerstone import WRITTEN

JLS = "{ retrieveOptions: { default: { framesPath: '/jls/' } } }"
QUALITIES = "{FAR_REPLICATE: 1, ADJACENT_REPLICATE: 3, SUBRESOLUTION: 6, LOSSY: 7, FULL_RESOLUTION: 8}"


def refusal(text: str) -> NotUnderstood:
    with pytest.raises(NotUnderstood) as refused:
        read_javascript(text, viewers_stages())
    return refused.value


def test_there_are_fifteen() -> None:
    assert len(WRITTEN) == 15


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize("name", ["config.js", "config.ts", "config.json", "config.yaml", "config.txt"])
def test_check_and_plan_take_each_of_the_viewers_examples(
    name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert main(["check", str(path)]) == 0
    assert "is a valid profile; stages: " in capsys.readouterr().out
    assert main(["plan", str(path), "--images", "9"]) == 0
    assert capsys.readouterr().out.count("\n") > 9


def test_serve_takes_the_viewers_examples(tmp_path: Path) -> None:
    indented = {
        name: "\n".join(f"    {line}" for line in text.splitlines()) for name, text in WRITTEN.items()
    }
    profiles = "\n".join(f"  '{name}': |\n{text}" for name, text in indented.items())
    path = tmp_path / "config.yaml"
    path.write_text(f"origins: [{{url: http://pacs}}]\nprofiles:\n{profiles}\n")
    app = create_app(load(path))
    assert set(WRITTEN) <= set(app.settings.all_profiles())
    for name, text in WRITTEN.items():
        found = app.settings.all_profiles()[name]
        assert list(ordered(found, 9)) == list(ordered(_profile(text, tmp_path), 9)), name


@pytest.mark.parametrize(
    "text", [each for each in WRITTEN.values() if "//" not in each and "const" not in each]
)
def test_what_yaml_can_read_is_taken_in_yaml_too(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    lines = "\n".join(f"    {line}" for line in text.replace("/* what is left */", "").splitlines())
    path.write_text(f"origins: [{{url: http://pacs}}]\nprofiles:\n  mine:\n{lines}\n")
    mine = load(path).all_profiles()["mine"]
    assert list(ordered(mine, 9)) == list(ordered(_profile(text, tmp_path), 9))


def _profile(text: str, folder: Path) -> Profile:
    (folder / "one.js").write_text(text)
    return read_profile(folder / "one.js")


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_a_javascript_engine_reads_the_same(text: str) -> None:
    """Node runs what we only parse."""
    if shutil.which("node") is None:
        pytest.skip("node is missing")
    names = ", ".join(f"{name} = {json.dumps(value)}" for name, value in viewers_stages().items())
    *before, last = text.split("const ")
    expression = last.partition("=")[2].rstrip(";\n") if before else text
    declared = "".join(f"const {each}" for each in before if each)
    code = (
        f"const ImageQualityStatus = {QUALITIES}, {names}; {declared}; "
        f"console.log(JSON.stringify({expression}))"
    )
    told = subprocess.run(
        ["node", "-e", code], capture_output=True, text=True, check=True, timeout=240
    ).stdout
    read = read_javascript(text, viewers_stages())
    assert Profile(**read) == Profile(**json.loads(told))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64 * 1024", 65536),
        ("2 * (1 + 3) - 1", 7),
        ("100 / 4", 25),
        ("1 / 4", 0.25),
        ("0x10", 16),
        ("64_000", 64000),
        ("1e3", 1000),
        (".5", 0.5),
        ("-1", -1),
        ("+1", 1),
        ("true", True),
        ("null", None),
        ("'a'", "a"),
        ('"a b"', "a b"),
        ("`a`", "a"),
        ("[1, 2, ]", [1, 2]),
        ("[...[1, 2], 3]", [1, 2, 3]),
        ("{'a-b': 1, \"c\": 2}", {"a-b": 1, "c": 2}),
        ("Enums.ImageQualityStatus.LOSSY", "LOSSY"),
        ("RequestType.Thumbnail", "thumbnail"),
        ("(1 as number)", 1),
        ("x", 3),
        ("{ x }", {"x": 3}),
        ("o.p.q", 5),
    ],
)
def test_values(text: str, value: Any) -> None:  # of any kind
    read = read_javascript(f"const x = 3, o = {{p: {{q: 5}}}}; const c = {{stages: {text}}}", {})
    assert read["stages"] == value


@pytest.mark.parametrize(
    "text",
    [
        JLS,
        f"{JLS};",
        f"({JLS})",
        f"// as in the example\n{JLS} // end",
        JLS.strip("{ }") + "}}",
        f"const config = {JLS};",
        f"export const config: IRetrieveConfiguration = {JLS} as const;",
        f"export default {JLS};",
        f"imageRetrieveMetadataProvider.add('stack', {JLS});",
        f"import {{ a }} from '@cornerstonejs/core';\nconst p = document.body;\nlet c = {JLS};\nrun(c);",
        f"const options = {JLS}.retrieveOptions; const c = {{ retrieveOptions: options }};",
        f"const c = {{ ...d }};\nconst d = {JLS};",
    ],
)
def test_a_configuration_is_found_however_it_is_copied(text: str) -> None:
    assert read_javascript(text, viewers_stages()) == {
        "retrieveOptions": {"default": {"framesPath": "/jls/"}}
    }


@pytest.mark.parametrize("name", SPREADS)
def test_the_viewers_stages_are_known_by_their_names(name: str) -> None:
    for path in ("", "ProgressiveRetrieveImages.", "cornerstone.ProgressiveRetrieveImages."):
        assert read_javascript(f"{{...{path}{name}}}", viewers_stages()) == viewers_stages()[name]


def test_the_first_images_of_a_spread_volume_are_fetched_whole_as_by_the_viewer() -> None:
    """The built-in profile fetches their first bytes only."""
    stages = viewers_stages()["interleavedRetrieveStages"]["stages"]
    assert "retrieveType" not in stages[0]
    assert [stage.get("retrieveType") for stage in stages[1:3]] == ["multipleFast", "multipleFast"]


FUNCTION = "a proxy can't run functions: write the value instead"
BRACKET = "can't be read as JavaScript: a bracket or a comma may be missing"
REFUSED = {
    "a function": (
        "{retrieveOptions: {single: {\nchunkSize: (meta) => 65536}}}",
        (2, FUNCTION),
    ),
    "a method": ("{stages: [], create(config) {}}", (1, FUNCTION)),
    "a call": ("{stages: [],\nx: Math.abs(2)}", (2, "Math.abs(2) can't be computed here: write its value")),
    "an unknown name": (
        "{stages: [], \n\n x: limit}",
        (3, "limit is not known here; write its value, or paste its declaration too"),
    ),
    "a misspelt stock plan": (
        "{...interleavedRetreiveStages, retrieveOptions: {}}",
        (1, "interleavedRetreiveStages is not known here; did you mean interleavedRetrieveStages? "
            "Write its value, or paste its declaration too"),
    ),
    "a condition": ("{stages: [],\nx: a ? 1 : 2}", (2, "a ? 1 : 2 can't be computed here: write its value")),
    "a template": ("{stages: [], x: `${a}/`}", (1, "`${a}/` can't be computed here: write its value")),
    "a power": ("{stages: [], x: 9 ** 99999999}", (1, "9 ** 99999999: write the number instead")),
    "a shift": ("{stages: [], x: 1 << 99999999}", (1, "1 << 99999999: write the number instead")),
    "a division by nothing": ("{stages: [], x: 1 / 0}", (1, "1 / 0 is no number")),
    "a text in a sum": ("{stages: [], x: 'a' + 1}", (1, "'a' is no number")),
    "a computed key": ("{stages: [], [x]: 1}", (1, "[x]: write the key itself")),
    "a list that is spread into an object": ("{stages: [], ...[1]}", (1, "must be an object, { … }")),
    "stock stages that are no list": (
        "{stages: [...singleRetrieveStages]}",
        (1, "...singleRetrieveStages: must spread a list here, such as ...singleRetrieveStages.stages"),
    ),
    "an object spread into a list": ("{stages: [...{a: 1}]}", (1, "...{a: 1}: must spread a list here")),
    "two configurations": (
        f"const a = {JLS};\nconst b = {JLS};",
        (1, "there are several configurations, a, b: keep one of them"),
    ),
    "no configuration": ("const a = 1;", (1, "there is no object with stages or retrieveOptions")),
    "one that contains itself": ("const a = {...a};\nconst b = {...a};", (1, "a contains itself")),
    "an open bracket": ("{\nstages: [}", (2, BRACKET)),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_other_code_gets_its_line_and_what_to_write(text: str, said: tuple[int, str]) -> None:
    error = refusal(text)
    assert (error.line, error.words) == said


def test_code_does_not_grow_without_end() -> None:
    steps = "".join(f"const a{n + 1} = [...a{n}, ...a{n}];\n" for n in range(40))
    error = refusal(f"const a0 = [1, 1];\n{steps}const c = {{stages: a40}};")
    assert error.words == f"the text comes to more than {MAX_VALUES} values"
    assert "nested too deeply" in refusal(f"{{stages: {'[' * 5000}{']' * 5000}}}").words


@pytest.mark.parametrize(
    "body", [b"\0", b"{", b"}" * 1000, b"`", b"/*", b"\xc2\xa0{stages: []}", b"({" * 200]
)
def test_odd_texts_are_refused_or_read(body: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.js"
    path.write_bytes(body)
    try:
        read_profile(path)
    except ConfigurationError as error:
        said = str(error)
    else:
        said = str(path)
    assert said.startswith(str(path))


def test_a_fault_in_code_has_its_line_and_key(tmp_path: Path) -> None:
    path = tmp_path / "x.ts"
    path.write_text(
        "const c = {\n  ...interleavedRetrieveStages,\n  // the fast ones\n"
        "  retrieveOptions: {\n    multipleFast: {\n      rangeIdx: 0,\n    },\n  },\n  stagez: [],\n};\n"
    )
    with pytest.raises(ConfigurationError) as refused:
        read_profile(path)
    lines = [line.partition("; the")[0].partition(" The")[0] for line in str(refused.value).splitlines()]
    assert lines == [
        f"{path}:6: retrieveOptions.multipleFast.rangeIdx: unknown key; did you mean rangeIndex?",
        f"{path}:9: stagez: unknown key; did you mean stages?",
    ]


def test_a_fault_in_a_pasted_text_has_the_line_of_both(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("origins: [{url: http://a}]\nprofiles:\n  mine: |\n    {stages: [],\n     x: f()}\n")
    with pytest.raises(ConfigurationError) as refused:
        load(path)
    assert (
        str(refused.value) == f"{path}:3: profiles.mine: line 2: f() can't be computed here: write its value"
    )


def test_a_comment_of_code_in_yaml_gets_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(
        "origins: [{url: http://a}]\nprofiles:\n  mine: {\n    // fast first\n    retrieveOptions: {} }\n"
    )
    with pytest.raises(ConfigurationError, match="`//` begins no comment in YAML: write `#`, or paste"):
        load(path)
