"""The program sets glibc's thresholds itself, so image, chart and the block to paste set none."""

import json

from tests.chart.rendering import CHARTS, Object, one, rendered


def container_of(*more: str) -> Object:
    spec = one("Deployment", rendered("helm4", "least", *more))["spec"]["template"]["spec"]
    return dict(spec["containers"][0])


def test_nothing_else_sets_what_the_program_sets_itself() -> None:
    paste = CHARTS / "progressive-proxy" / "examples" / "paste" / "sidecar.yaml"
    for file in (CHARTS.parent / "Dockerfile", paste):
        assert "MALLOC_" not in file.read_text("utf-8")
    assert "env" not in container_of()


def test_a_variable_in_env_reaches_the_program() -> None:
    mine = {"name": "MALLOC_TRIM_THRESHOLD_", "value": "1"}
    assert container_of("--set-json", f"env={json.dumps([mine])}")["env"] == [mine]
