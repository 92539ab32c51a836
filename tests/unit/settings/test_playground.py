"""What the playground shows: the same plan as the command prints, the YAML for it, and faults by line."""

import json
from pathlib import Path

import pytest

from proxy.cli import main
from proxy.plan.names import STOCK, stock_text
from proxy.settings.playground import MOST_FAULTS, MOST_FETCHES, MOST_STAGES, shown

VIEWERS = """
{
  ...interleavedRetrieveStages, // the viewer's own stages
  retrieveOptions: { multipleFast: { rangeIndex: 0 }, multipleFinal: { rangeIndex: -1 } },
}
"""
JSON = json.dumps({"stages": [{"id": "a"}], "retrieveOptions": {"default": {"streaming": True}}})


@pytest.mark.parametrize(
    "text", [*map(stock_text, STOCK), VIEWERS, JSON, "first: 1/4", "extends: interleaved"]
)
def test_the_plan_is_the_commands(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "profile").write_text(text)
    assert main(["plan", str(tmp_path / "profile"), "--images", "40", "--json"]) == 0
    captured = capsys.readouterr()
    told = shown(text, 40)
    fetches = [(told["stages"][stage]["id"], *rest) for stage, *rest in told["fetches"]]
    printed = [(one["stage"], one["image"], one["start"], one["stop"]) for one in json.loads(captured.out)]
    assert fetches == printed
    assert [f"warning: {each}" for each in told["warnings"]] == captured.err.splitlines()
    again = shown(told["yaml"], 40)
    assert (again["faults"], again["fetches"]) == ([], told["fetches"])


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("stages:\n- {id: a}\n- {decimate: 0, id: b}", [(3, "stages.1.decimate: must be")]),
        ("stages: [{id: a}]\nstage: []", [(2, "stage: unknown key; did you mean stages?")]),
        ("{stages: [\n{id: 'a',}, // one\n{id: f()}]}", [(3, "")]),
        ("create: x", [(1, "create: a proxy can't run functions: leave it out")]),
        ("stages: [{id: far, positions: [9]}]", [(1, "stage far: no image at position 9 of 2")]),
        ("extends: interleavd", [(1, "extends: interleavd is no profile; did you mean interleaved?")]),
        ("[" * 5000, [(1, "the file is nested too deeply")]),
        ("", []),
    ],
)
def test_a_fault_has_its_line(text: str, faults: list[tuple[int, str]]) -> None:
    found = [(each["line"], each["words"]) for each in shown(text, 2)["faults"]]
    assert [line for line, _ in found] == [line for line, _ in faults]
    assert all(words.startswith(start) for (_, words), (_, start) in zip(found, faults, strict=True))


def test_all_is_bounded() -> None:
    stages = ", ".join(f"{{id: s{number}}}" for number in range(MOST_STAGES + 1))
    assert (
        shown(f"stages: [{stages}]", 1)["faults"][0]["words"] == f"stages: at most {MOST_STAGES} can be shown"
    )
    ranges = ", ".join(f"{{id: s{number}, retrieveType: s{number}}}" for number in range(30))
    options = ", ".join(f"s{number}: {{rangeIndex: {number}}}" for number in range(30))
    many = shown(f"stages: [{ranges}]\nretrieveOptions: {{{options}}}", 1000)
    assert many["faults"][0]["words"].startswith(f"the plan has more than {MOST_FETCHES} fetches")
    wrong = ", ".join(f"{{id: s{number}, decimate: 0}}" for number in range(50))
    assert len(shown(f"stages: [{wrong}]", 1)["faults"]) == MOST_FAULTS
