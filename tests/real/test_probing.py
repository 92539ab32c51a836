"""The report of `check --origin` for each real origin, at a width of 80 columns."""

import pytest

from proxy.cli import main
from tests.real.conftest import RealOrigin

EXPECTED = {
    "nginx_single_part": (
        "requests image/jphc",
        "206 with the requested bytes",
        "strong, usable",
        "guarded by If-Range",
    ),
    "nginx_static_wado": (
        "requests image/jphc",
        "206 with",
        "strong, usable",
        "guarded by If-Range",
    ),
    "nginx_creator": (
        "requests image/jphc",
        "206 with the requested bytes",
        "strong, usable",
        "guarded by If-Range",
    ),
    "orthanc_open": (
        "requests ?accept=image/jphc",
        "none: 200 with the whole frame",
        "no strong one",
        "different each time",
        "fetch only the first bytes, so plans fetch whole frames",
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_report_card_of_a_real_origin(
    name: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    real: RealOrigin = request.getfixturevalue(name)
    assert main(["check", "--origin", real.url]) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert all(len(line) <= 80 for line in lines)
    text = " ".join(printed.split())
    assert [words for words in EXPECTED[name] if " ".join(words.split()) not in text] == []
    assert lines[0].startswith(f"{real.url}: a frame of ")


def test_with_credentials_and_without(orthanc_basic: RealOrigin, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--origin", orthanc_basic.url]) == 1
    assert "401" in capsys.readouterr().err
    [(name, value)] = orthanc_basic.credentials.items()
    assert main(["check", "--origin", orthanc_basic.url, "--header", f"{name}:{value}"]) == 0
    assert value not in capsys.readouterr().out
