"""The Job that measures the first origin, rendered."""

import argparse
import json

import pytest

from proxy.commands.demo import add_measure_options
from tests.chart.rendering import CHART, one, rendered, values_of
from tests.chart.tools import tried


@pytest.mark.parametrize("mode", ["standalone", "sidecar"])
def test_measure_reaches_the_origin_through_the_http_proxy_on_the_way(mode: str) -> None:
    pacs = {"name": "pacs", "url": "https://pacs.example/dicom-web"}
    for via, way in (
        (None, []),
        ("http://proxy.example:3128", ["--via", "http://proxy.example:3128"]),
        ({"url": "http://proxy.example"}, ["--via", "http://proxy.example"]),
        ("environment", ["--via", "environment"]),
    ):
        origin = pacs | ({"via": via} if via else {})
        more = ("--set", "measure.enabled=true", "--set-json", f"config.origins={json.dumps([origin])}")
        pod = one("Job", rendered("helm4", mode, *more))["spec"]["template"]["spec"]
        words = pod["containers"][0]["args"]
        assert words[: 2 + len(way)] == ["measure", pacs["url"], *way]
        assert ("--via" in words) == bool(way)
        parser = argparse.ArgumentParser()
        add_measure_options(parser)
        parser.parse_args(words[1:])


def test_measure_says_that_it_has_no_login_for_an_http_proxy() -> None:
    via = {"url": "http://proxy.example", "user": "u", "password_file": "/p"}
    origin = {"name": "pacs", "url": "https://pacs.example/dicom-web", "via": via}
    more = ("--set", "measure.enabled=true", "--set-json", f"config.origins={json.dumps([origin])}")
    said = tried("helm4", "template", "x", CHART, "-f", values_of("standalone"), *more)
    assert "measure.enabled: it can't log in at the HTTP proxy" in said.stderr
