"""Draws the dashboard of a proxy under load as a PNG, with the dashboard's own queries and layout.

`python -m tests.chart.preview`
"""

import asyncio
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tests.chart.dashboard import DASHBOARD
from tests.chart.load import behind_a_link, rounds
from tests.chart.scraping import Prometheus, Series, filled_in, scraping

PREVIEW = Path(__file__).parents[2] / "docs/operate/dashboard.png"
LOADED = 40.0
"""Seconds of load that are drawn."""
UNSEEN = 10.0
"""Seconds of load before, until each rate has two samples."""
COLUMN, ROW = 0.5, 0.34
"""Inches of one column and one row of the dashboard's grid."""
LEGEND, LETTER = 6, 0.075
"""Most names in the legend of a panel, and inches of a letter in one."""
STATES = {"red": "#c4162a", "orange": "#e0752d", "green": "#37872d", "blue": "#3274d9"}
"""Colours of the dashboard's thresholds, as Grafana shows them."""
COLOURS = ("#3274d9", "#e0752d", "#37872d", "#8f3bb8", "#c4162a", "#b58a00", "#0f8b8d", "#6b6b6b")

Panel = dict[str, Any]
Found = list[tuple[dict[str, Any], Series]]
"""Targets of a panel, with their results."""


def with_prefix(value: float) -> str:
    """A number with a prefix for thousands.

    >>> with_prefix(1_500_000), with_prefix(2)
    ('1.5 M', '2 ')
    """
    for step, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= step:
            return f"{value / step:.3g} {prefix}"
    return f"{value:.3g} "


UNITS: dict[str, Callable[[float], str]] = {
    "s": lambda value: f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s",
    "percentunit": lambda value: f"{value:.1%}",
    "reqps": lambda value: f"{value:.3g}/s",
    "ops": lambda value: f"{value:.3g}/s",
    "Bps": lambda value: f"{with_prefix(value)}B/s",
    "bytes": lambda value: f"{with_prefix(value)}B",
    "d": lambda value: f"{value:,.0f} d",
    "none": lambda value: with_prefix(value).strip(),
}


def _unit(panel: Panel) -> Callable[[float], str]:
    return UNITS[panel["fieldConfig"]["defaults"]["unit"]]


def _legend(form: str, labels: dict[str, str]) -> str:
    for name, value in labels.items():
        form = form.replace("{{" + name + "}}", value)
    return form


def _draw_lines(axes: Axes, panel: Panel, found: Found, start: float) -> None:
    drawn = [
        (_legend(target["legendFormat"], labels), samples)
        for target, series in found
        for labels, samples in series
    ]
    drawn = sorted((each for each in drawn if each[1]), key=lambda each: -max(value for _, value in each[1]))
    others = iter(COLOURS * 4)
    for name, samples in drawn:
        times, values = [at - start for at, _ in samples], [value for _, value in samples]
        is_objective = name == "objective"
        colour, style = ("#d33", "--") if is_objective else (next(others), "-")
        axes.plot(times, values, label=name, linewidth=1.3, color=colour, linestyle=style)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _unit(panel)(value)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:.0f} s"))
    axes.grid(color="#e4e4e4", linewidth=0.6)
    axes.tick_params(labelsize=7, length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlim(0, LOADED)
    lines, names = axes.get_legend_handles_labels()
    names = (
        names[:LEGEND]
        if len(names) <= LEGEND
        else [*names[: LEGEND - 1], f"… {len(names) - LEGEND + 1} more"]
    )
    across = panel["gridPos"]["w"] * COLUMN / (max(map(len, names)) * LETTER + 0.5)
    columns = max(1, min(len(names), int(across)))
    axes.legend(
        lines[: len(names)], names, fontsize=7, ncol=columns, loc="upper center", bbox_to_anchor=(0.5, -0.1),
        frameon=False, columnspacing=1.2, handlelength=1.5,
    )  # fmt: skip


def _draw_heatmap(axes: Axes, panel: Panel, found: Found, start: float) -> None:
    """A column for each time, a row for each bucket; a bucket of Prometheus counts those below it too."""
    ((_, series),) = found
    ends = sorted((float(labels["le"]), dict(samples)) for labels, samples in series)
    times = sorted({at for _, samples in ends for at in samples})
    counts = np.array([[samples.get(at, 0.0) for at in times] for _, samples in ends])
    inside = np.diff(counts, axis=0, prepend=0)
    axes.pcolormesh([at - start for at in times], range(len(ends)), inside, cmap="Blues", shading="nearest")
    axes.set_xlim(0, LOADED)
    axes.set_yticks(range(len(ends)), [_end(panel, end) for end, _ in ends])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:.0f} s"))
    axes.tick_params(labelsize=6, length=0)
    axes.spines[:].set_visible(False)


def _end(panel: Panel, end: float) -> str:
    return _unit(panel)(end) if math.isfinite(end) else "more"


def _draw_number(axes: Axes, panel: Panel, found: Found, _: float) -> None:
    value = found[0][1][0][1][-1][1]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    colour = [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]
    axes.text(0.5, 0.45, _unit(panel)(value), fontsize=20, ha="center", va="center", color=STATES[colour])
    axes.axis("off")


def _draw_table(axes: Axes, panel: Panel, found: Found, _: float) -> None:
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for target, series in found:
        for labels, samples in series:
            cells = lines.setdefault((labels["profile"], labels["cache"]), {})
            cells[f"Value #{target['refId']}"] = _unit(panel)(samples[-1][1]) if samples else "–"
    names: dict[str, str] = panel["transformations"][1]["options"]["renameByName"]
    rows = [[*key, *(cells.get(column, "–") for column in names)] for key, cells in sorted(lines.items())]
    drawn = axes.table(
        rows, colLabels=["profile", "cache", *names.values()], loc="upper center", cellLoc="left"
    )
    drawn.auto_set_font_size(value=False)
    drawn.set_fontsize(8)
    for cell in drawn.get_celld().values():
        cell.set_edgecolor("#e4e4e4")
    axes.axis("off")


DRAWN = {"timeseries": _draw_lines, "stat": _draw_number, "heatmap": _draw_heatmap, "table": _draw_table}


OVER_TIME = ("timeseries", "heatmap")


def draw(dashboard: dict[str, Any], found: dict[int, Found], start: float) -> Figure:
    """Draws the whole dashboard, over the time from its start."""
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    figure = Figure(figsize=(24 * COLUMN, height * ROW), facecolor="white")
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        top, left = 1 - at["y"] / height, at["x"] / 24
        if panel["type"] == "row":
            figure.text(0.01, top - 0.5 / height, panel["title"], fontsize=12, weight="bold", va="center")
            continue
        figure.text(left + 0.01, top - 0.4 / height, panel["title"], fontsize=9, va="center")
        is_lines = panel["type"] in OVER_TIME
        inside = (0.042, 2.3, 1.0) if is_lines else (0.01, 0.2, 0.9)  # left, below, above
        box = (
            left + inside[0],
            top - (at["h"] - inside[1]) / height,
            at["w"] / 24 - inside[0] - 0.01,
            (at["h"] - inside[1] - inside[2]) / height,
        )
        DRAWN[panel["type"]](figure.add_axes(box), panel, found[panel["id"]], start)
    return figure


async def collect(prometheus: Prometheus, dashboard: dict[str, Any], start: float) -> dict[int, Found]:
    """The results of each panel's queries, by the panel's id."""
    found: dict[int, Found] = {}
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            query = filled_in(target["expr"])
            is_lines = panel["type"] in OVER_TIME
            series = await (prometheus.over(query, start, time.time()) if is_lines else prometheus.now(query))
            found.setdefault(panel["id"], []).append((target, series))
    return found


async def main() -> None:
    """Runs the load, the queries and the drawing."""
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        async with (
            behind_a_link() as home,
            scraping(str(home.admin.base_url.netloc, "ascii"), Path(folder)) as prometheus,
        ):
            began = time.time()
            async for _ in rounds(home, Path(folder) / "config.yaml"):
                if time.time() - began > LOADED + UNSEEN:
                    break
            found = await collect(prometheus, dashboard, began + UNSEEN)
    draw(dashboard, found, began + UNSEEN).savefig(PREVIEW, dpi=110)


if __name__ == "__main__":
    asyncio.run(main())
