"""Writes the chart's README from its values: each with its default and the words above it.

`python -m tests.chart.readme`
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.chart.values_schema import CHART
from tests.pages.program import table

README = CHART / "README.md"
KEY = re.compile(r"^( *)([A-Za-z]+):")
HEAD = """# progressive-proxy

{description}

    helm upgrade --install imaging . --set mode=standalone --set "config.origins[0].url=http://pacs.example/dicom-web"
    helm test imaging --logs

Kubernetes {kubernetes}, helm 3 or 4. [Kubernetes](../../docs/deploy/kubernetes.md) explains the modes with
complete examples, [alerts](../../docs/operate/alerts.md) what each alert means.

## Values

`python -m tests.chart.readme` makes this table from `values.yaml`. `values.schema.json` checks values.

"""


def text() -> str:
    """The README."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    head = HEAD.format(description=chart["description"], kubernetes=chart["kubeVersion"].partition("-")[0])
    return head + table(["value", "default", "meaning"], rows())


def rows() -> Iterator[tuple[str, str, str]]:
    """Each value that has words of its own: path, default, words."""
    lines = (CHART / "values.yaml").read_text("utf-8").splitlines()
    values = yaml.safe_load("\n".join(lines))
    path: list[str] = []
    words: list[str] = []
    for line in lines:
        found = KEY.match(line)
        if line.lstrip().startswith("#"):
            words.append(line.lstrip()[1:].strip())
        elif found:
            path = [*path[: len(found[1]) // 2], found[2]]
            value = _at(values, path)
            is_section = isinstance(value, dict) and line.endswith(":") and path[-1] not in ("config",)
            if words:
                yield f"`{'.'.join(path)}`", "" if is_section else f"`{json.dumps(value)}`", " ".join(words)
            words = []
        elif not line:
            words = []


def _at(values: Any, path: list[str]) -> Any:
    for key in path:
        values = values[key]
    return values


if __name__ == "__main__":
    README.write_text(text(), "utf-8")
