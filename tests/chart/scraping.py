"""A real Prometheus on loopback that scrapes a proxy and has the chart's own rules."""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.chart.rendering import one, rendered
from tests.chart.tools import tool
from tests.ports import free_port

LABELS = {"job": "imaging-progressive-proxy", "namespace": "imaging", "pod": "imaging-progressive-proxy-0"}

Samples = list[tuple[float, float]]
"""Times and values, without NaN."""
Series = list[tuple[dict[str, str], Samples]]


class Prometheus:
    """A client for queries."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def _asked(self, path: str, **parameters: str | float) -> list[dict[str, Any]]:
        answer = await self._client.get(f"/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"]["result"])

    async def now(self, query: str) -> Series:
        """One sample of each series, now."""
        return [_read(each["metric"], [each["value"]]) for each in await self._asked("query", query=query)]

    async def over(self, query: str, start: float, end: float) -> Series:
        """One sample per second."""
        found = await self._asked("query_range", query=query, start=start, end=end, step=1)
        return [_read(each["metric"], each["values"]) for each in found]

    async def targets(self) -> list[str]:
        """The health of each target."""
        answer = await self._client.get("/api/v1/targets")
        answer.raise_for_status()
        return [each["health"] for each in answer.json()["data"]["activeTargets"]]


def _read(labels: dict[str, str], pairs: list[tuple[float, str]]) -> tuple[dict[str, str], Samples]:
    samples = [(float(at), float(value)) for at, value in pairs]
    return labels, [each for each in samples if math.isfinite(each[1])]


def filled_in(query: str, window: str = "15s", shown: str = "2m") -> str:
    """A query of the dashboard, with its variables replaced as Grafana does it.

    >>> filled_in('rate(a{job=~"$job"}[$__rate_interval])')
    'rate(a{job=~".*"}[15s])'
    """
    query = query.replace("$__rate_interval", window).replace("$__range", shown)
    return re.sub(r'"\$[a-z]+"', '".*"', query)


def _configure(folder: Path, target: str) -> None:
    rules = one("PrometheusRule", rendered("helm4", "sidecar"))["spec"]
    job: dict[str, Any] = {
        "job_name": "proxy",
        "static_configs": [{"targets": [target], "labels": LABELS}],
    }
    often = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration = {"global": often, "rule_files": ["rules.yaml"], "scrape_configs": [job]}
    # JSON is valid YAML.
    (folder / "rules.yaml").write_text(json.dumps(rules), "utf-8")
    (folder / "prometheus.yaml").write_text(json.dumps(configuration), "utf-8")


@asynccontextmanager
async def scraping(target: str, folder: Path) -> AsyncIterator[Prometheus]:
    """Runs Prometheus, which scrapes a target (host:port) every second."""
    await asyncio.to_thread(_configure, folder, target)
    address = f"127.0.0.1:{free_port()}"
    options = [
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    process = await asyncio.create_subprocess_exec(tool("prometheus"), *options)
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=240) as client:
            prometheus = Prometheus(client)
            while not await _is_up(prometheus):
                assert process.returncode is None
                await asyncio.sleep(0.1)
            yield prometheus
    finally:
        process.terminate()
        await process.wait()


async def _is_up(prometheus: Prometheus) -> bool:
    try:
        return await prometheus.targets() == ["up"]
    except httpx.HTTPError:
        return False  # Prometheus is starting: it does not listen yet, or it answers 503
