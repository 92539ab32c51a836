"""The bundle installs and serves in a network namespace, and its papers name all that it carries."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.chart.rendering import HELMS, objects
from tests.chart.tools import index, namespaces, run, tool
from tests.release import bundle
from tests.release.carried import NAME, VERSION

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a bundle, with an image of one file, since a real one takes minutes."""
    tool("buildah")
    namespaces()
    index()
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY policy.json /\n")
    storage = ("--root", f"{folder}/storage", "--runroot", f"{folder}/run", "--storage-driver", "vfs")
    policy = ("--signature-policy", folder / "policy.json")
    run("buildah", *storage, "bud", *policy, "--isolation", "chroot", "--tag", "one-file", folder)
    bundle.collect(folder / "it", "localhost/one-file", storage, tuple(map(str, policy)))
    bundle.seal(folder / "it")
    yield folder / "it"
    run("buildah", *storage, "rmi", "--all", "--force")


def test_it_installs_and_serves_without_a_network(made: Path, tmp_path: Path) -> None:
    told = bundle.tried_without_network(made, tmp_path / "place")
    assert VERSION in told
    assert "is valid" in told
    assert '{"status":"ok"}' in told


def test_a_changed_file_is_noticed(made: Path) -> None:
    check = ["sha256sum", "--quiet", "--check", "SHA256SUMS"]
    assert subprocess.run(check, cwd=made, check=False).returncode == 0
    listed = {line.split("  ", 1)[1] for line in (made / "SHA256SUMS").read_text("utf-8").splitlines()}
    files = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert listed == files - {"SHA256SUMS"}
    licence = made / "LICENSE"
    before = licence.read_bytes()
    licence.write_bytes(before + b" ")
    assert subprocess.run(check, cwd=made, capture_output=True, check=False).returncode != 0
    licence.write_bytes(before)


def test_its_image_and_its_chart_can_be_read(made: Path) -> None:
    manifest = subprocess.run(
        ["tar", "-xOf", made / "image.tar", "manifest.json"], capture_output=True, check=True
    ).stdout
    assert json.loads(manifest)[0]["RepoTags"][0].endswith(f"{NAME}:{VERSION}")
    for helm in HELMS:
        values = ("--set", "mode=standalone,config.origins[0].url=http://pacs.example")
        rendered = run(helm, "template", "x", made / f"{NAME}-{VERSION}.tgz", *values)
        assert any(each["kind"] == "Deployment" for each in objects(rendered))


def test_its_papers_name_each_wheel(made: Path) -> None:
    wheels = {tuple(path.name.split("-")[:2]) for path in (made / "wheels").glob("*.whl")}
    wheels = {(canonicalize_name(name), version) for name, version in wheels}
    assert len(wheels) > 30
    sbom = json.loads((made / f"{NAME}-{VERSION}.cdx.json").read_text("utf-8"))
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    parts = [sbom["metadata"]["component"], *sbom["components"]]
    named = {(canonicalize_name(part["name"]), part["version"]) for part in parts}
    assert named == wheels
    notice = (made / "NOTICE").read_text("utf-8")
    lines = (line[2:].split(": ") for line in notice.splitlines() if line.startswith("- "))
    words = [line[0].split(" ") for line in lines if len(line) > 1]
    listed = {(canonicalize_name(each[0]), each[1]) for each in words if len(each) == 2}
    assert wheels - listed == {(NAME, VERSION)}
    assert notice.count("Apache License") > 1
    assert "\nPermission is hereby granted" in notice
