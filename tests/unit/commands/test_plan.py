"""`plan` and `check --profile`: what they print, also for an unknown name or file."""

import json
from pathlib import Path

import pytest

from proxy.cli import main
from proxy.plan.names import STOCK, stock_text
from proxy.plan.plan import ordered
from proxy.plan.profile import stock_profile

NAMES = (
    "sequential, single, streaming, interleaved, coarseInterleaved, byteRange, jls, jlsReduced, htj2kReduced"
)
OURS = """
stages: [{id: a, retrieveType: fast}, {id: b}]
retrieveOptions: {fast: {rangeIndex: 0, chunkSize: 1KiB}}
"""
OBJECTS = [
    {"stage": "a", "image": 0, "retrieveType": "fast", "requestType": "interaction", "priority": -5,
     "start": 0, "stop": 1024},
    {"stage": "b", "image": 0, "retrieveType": "default", "requestType": "interaction", "priority": -5,
     "start": 1024, "stop": None},
]  # fmt: skip


@pytest.mark.parametrize("name", STOCK)
def test_check_prints_a_stock_profile_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--profile", name]) == 0
    assert capsys.readouterr() == (stock_text(name), "")


def test_check_names_the_profiles_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--profile", "../sequential"]) == 1
    assert capsys.readouterr() == ("", f"progressive-proxy: there is no such profile, only {NAMES}\n")


def test_plan_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "interleaved", "--images", "2"]) == 0
    assert capsys.readouterr().out == (
        "stage             image  retrieveType   requestType  priority  range\n"
        "initialImages         0  multipleFast   thumbnail           5  bytes=0-65535\n"
        "initialImages         1  multipleFast   thumbnail           5  bytes=0-65535\n"
        "halfFull              0  multipleFinal  thumbnail           9  bytes=65536-\n"
        "threeQuarterFull      1  multipleFinal  thumbnail          10  bytes=65536-\n"
    )


def test_the_table_says_what_stands_instead_of_frames(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "jlsReduced", "--images", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-2:] for line in lines[1:]] == [
        ["bytes=0-", "/jlsThumbnail/"],
        ["bytes=0-", "/jls/"],
    ]


@pytest.mark.parametrize("name", STOCK)
def test_plan_prints_a_list(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", name, "--images", "174", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert all(list(one) == list(OBJECTS[0]) for one in printed)
    fetches = [(f.stage, f.image, f.part.start, f.part.stop) for f in ordered(stock_profile(name), 174)]
    assert [(one["stage"], one["image"], one["start"], one["stop"]) for one in printed] == fetches


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("profile.yaml", OURS),
        (
            "viewer.json",
            '{"stages": [{"id": "a", "retrieveType": "fast"}, {"id": "b"}],\n'
            ' "retrieveOptions": {"fast": {"rangeIndex": 0, "chunkSize": 1024}}}',
        ),
    ],
)
def test_plan_reads_a_file(name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text(text)
    assert main(["plan", str(tmp_path / name), "--images", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == OBJECTS


def test_plan_says_where_a_file_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("stages:\n- id: a\n  decimate: 0\ncreate: x\n")
    assert main(["plan", str(file), "--images", "1"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{file}:4: create: a proxy can't run functions: leave it out",
    ]


def test_plan_says_which_stage_has_no_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "far.yaml"
    file.write_text("stages: [{id: far, positions: [9]}]")
    assert main(["plan", str(file), "--images", "9"]) == 1
    assert capsys.readouterr() == ("", "stage far: no image at position 9 of 9\n")


def test_plan_names_the_profiles_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "nosuch", "--images", "1"]) == 1
    right = f"progressive-proxy: nosuch is neither a file nor a stock profile; stock profiles are {NAMES}\n"
    assert capsys.readouterr() == ("", right)


@pytest.mark.parametrize("images", ["0", "-1", "1_0", "many", "\u0661"])
def test_plan_needs_a_number_of_images(images: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["plan", "single", "--images", images])
    assert "a number of images, at least 1" in capsys.readouterr().err or images == "-1"
