"""The configurations in `examples` are good, and the Compose file names only what is there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.cli import main
from proxy.settings.model import Settings, load

EXAMPLES = Path(__file__).parents[2] / "examples"
CONFIGURATIONS = sorted(EXAMPLES.rglob("config.yaml"))
CHART = EXAMPLES.parent / "charts" / "progressive-proxy"
ORTHANC = EXAMPLES / "in-front-of-orthanc"


def services() -> dict[str, Any]:
    return dict(yaml.safe_load((ORTHANC / "compose.yaml").read_text("utf-8"))["services"])


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.parent.name)
def test_check_finds_a_configuration_valid(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORTHANC_PASSWORD", "x")
    assert main(["check", str(path)]) == 0
    assert "is valid" in capsys.readouterr().out


@pytest.mark.parametrize(("example", "below"), [("sidecar", "proxy"), ("standalone", "")])
def test_the_chart_has_each_value_and_the_program_accepts_its_configuration(example: str, below: str) -> None:
    """What `tests/chart` shows with helm, without it."""
    values = yaml.safe_load((EXAMPLES / example / "values.yaml").read_text("utf-8"))
    values = values[below] if below else values
    assert set(values) <= set(yaml.safe_load((CHART / "values.yaml").read_text("utf-8")))
    assert Settings(**values["config"]).origins


def test_readme_describes_each_folder() -> None:
    text = (EXAMPLES / "README.md").read_text("utf-8")
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert set(re.findall(r"^\| \[`([\w-]+)`\]", text, re.MULTILINE)) == folders


@pytest.mark.parametrize(
    ("page", "package"),
    [
        ("ohif", "@ohif/app"),
        ("cornerstone3d", "@cornerstonejs/core"),
        ("microscopy", "dicom-microscopy-viewer"),
    ],
)
def test_the_page_of_a_viewer_names_the_version_that_its_test_opens(page: str, package: str) -> None:
    told = json.loads((EXAMPLES.parent / "tests" / "browser" / "package.json").read_text("utf-8"))
    version, _, _ = (told["dependencies"] | told["viewers"])[package].rpartition(".")
    text = (EXAMPLES.parent / "docs" / "viewers" / f"{page}.md").read_text("utf-8")
    assert f"The test is for version {version}." in " ".join(text.split())


def test_compose_mounts_files_that_exist_and_opens_ports_only_to_this_machine() -> None:
    for name, service in services().items():
        mounts = [mount.split(":")[0] for mount in service.get("volumes", ())]
        assert all((ORTHANC / mount).is_file() for mount in mounts if mount.startswith(".")), name
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
    assert (ORTHANC / services()["proxy"]["build"] / "Dockerfile").is_file()


def test_the_parts_of_compose_find_each_other() -> None:
    settings, orthanc = load(ORTHANC / "config.yaml"), json.loads((ORTHANC / "orthanc.json").read_text())
    nginx, ohif = (ORTHANC / name for name in ("nginx.conf", "app-config.js"))
    (origin,) = settings.origins
    assert set(services()) == {"orthanc", "proxy", "ohif"}
    assert origin.url == f"http://orthanc:{orthanc['HttpPort']}{orthanc['DicomWeb']['Root'].rstrip('/')}"
    assert "server proxy:8080;" in nginx.read_text("utf-8")
    assert settings.listen.viewers.endswith(":8080")
    assert settings.listen.hosts == ("proxy",)
    password = services()["proxy"]["environment"][origin.credentials.password_env]
    assert orthanc["RegisteredUsers"] == {origin.credentials.user: password}
    listened = re.search(r"listen (\d+);", nginx.read_text("utf-8"))
    assert listened is not None
    assert services()["ohif"]["ports"] == [f"127.0.0.1:3000:{listened[1]}"]
    roots = set(re.findall(r"\w+Root: '(.+)'", ohif.read_text("utf-8")))
    assert [f"location {root}/" in nginx.read_text("utf-8") for root in roots] == [True]


def test_a_container_ends_later_than_its_longest_response() -> None:
    period = int(services()["proxy"]["stop_grace_period"].removesuffix("s"))
    assert period > load(ORTHANC / "config.yaml").listen.grace
