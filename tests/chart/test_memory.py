"""The image, the chart and the block to paste configure glibc to return freed memory to the system."""

import json
import re
from pathlib import Path

from tests.chart.rendering import CHARTS, Object, one, rendered, viewer_chart
from tests.chart.tools import run


def glibc(env: list[Object]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in env if each["name"].startswith("MALLOC_")}


def container_of(*more: str) -> Object:
    spec = one("Deployment", rendered("helm4", "least", *more))["spec"]["template"]["spec"]
    return dict(spec["containers"][0])


def test_image_chart_and_block_to_paste_set_what_glibc_needs_to_give_memory_back(tmp_path: Path) -> None:
    text = (CHARTS.parent / "Dockerfile").read_text("utf-8")
    image = dict(re.findall(r"(MALLOC_[A-Z_]+)=([0-9]+)", text))
    assert {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} <= set(image)
    assert glibc(container_of()["env"]) == image
    viewer = one("Deployment", run("helm4", "template", "imaging", viewer_chart(tmp_path, "helm4")))
    assert glibc(viewer["spec"]["template"]["spec"]["initContainers"][0]["env"]) == image
    # Chunks of 64 KiB or more are mapped separately, so freeing them returns their memory to the system.
    assert int(image["MALLOC_MMAP_THRESHOLD_"]) <= 64 * 1024
    assert int(image["MALLOC_TOP_PAD_"]) < int(image["MALLOC_TRIM_THRESHOLD_"])


def test_a_variable_in_env_goes_before_the_chart_s() -> None:
    mine = {"name": "MALLOC_TRIM_THRESHOLD_", "value": "1"}
    env = container_of("--set-json", f"env={json.dumps([mine])}")["env"]
    assert env.count(mine) == 1
    assert len({each["name"] for each in env}) == len(env) == 3
