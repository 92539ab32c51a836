"""The manifests that helm renders from the chart."""

import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from tests.chart.tools import run

CHARTS = Path(__file__).parents[2] / "charts"
CHART = CHARTS / "progressive-proxy"
CASES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))
HELMS = ("helm3", "helm4")
RELEASE = ("imaging", "--namespace", "imaging")
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C takes a twentieth of the time."""

Object = dict[str, Any]


def values_of(case: str) -> Path:
    """Path of the values of a case."""
    return CHART / "ci" / f"{case}-values.yaml"


@lru_cache(maxsize=64)
def rendered(helm: str, case: str, *more: object, chart: Path = CHART) -> str:
    """The manifest of a case."""
    return run(helm, "template", *RELEASE, chart, "--values", values_of(case), *more)


def objects(manifest: str) -> list[Object]:
    """The objects in a manifest."""
    return [each for each in yaml.load_all(manifest, LOADER) if each]


def one(kind: str, manifest: str, suffix: str = "") -> Object:
    """The only object of a kind whose name ends with `suffix`."""
    found = [
        each
        for each in objects(manifest)
        if each["kind"] == kind and each["metadata"]["name"].endswith(suffix)
    ]
    assert len(found) == 1, f"{len(found)} of {kind} …{suffix}"
    return found[0]


def viewer_chart(folder: Path, helm: str) -> Path:
    """The viewer's chart with its dependency, as helm fetches it."""
    shutil.copytree(CHARTS, folder / "charts")
    chart = folder / "charts" / "viewer-example"
    run(helm, "dependency", "update", "--skip-refresh", chart)
    assert [path.name for path in (chart / "charts").iterdir()] == ["progressive-proxy-0.1.0.tgz"]
    return chart
