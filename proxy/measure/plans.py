"""Measures plans, which only this project's proxy has. Their first fetches end at a resolution.

The admin listener starts a plan and reports its events. Then a viewer loads the same frames, and each
response must be a hit. This proves that the plan fetched the right bytes, and all of them.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from proxy.errors import MeasureError
from proxy.measure.series import Kind
from proxy.measure.server import Server
from proxy.measure.viewer import Loaded, Viewer, Way
from proxy.plan.profile import stock_profile
from proxy.wire.resource import parse_frame_path

PLANS: Mapping[Kind, tuple[str, ...]] = {
    Kind.STACK: ("first 64KiB", "first 1/16", "first ≥ 256"),
    Kind.VOLUME: ("first 64KiB", "first 1/16", "first ≥ 256", "first 1/4", "interleaved 1/4"),
}
"""Plans by name: the end of first fetches, and the stock profile whose stages are used, if one is named."""
SAMPLES = 3
"""Loads of one plan, at most. Each load has its own frames in the proxy's cache."""


def profiles() -> dict[str, dict[str, Any]]:
    """Returns the profiles of all plans, for the configuration of the measured proxy."""
    plans = dict.fromkeys(PLANS[Kind.STACK] + PLANS[Kind.VOLUME])
    return {_name(plan, sample): _profile(plan, sample) for plan in plans for sample in range(SAMPLES)}


def _name(plan: str, sample: int) -> str:
    return f"{plan} #{sample}"


def _nonce(plan: str, sample: int) -> str:
    """Returns a query that keeps a load's frames apart in the proxy's cache; only letters and digits."""
    return f"plan{''.join(filter(str.isalnum, plan))}n{sample}"


def _profile(plan: str, sample: int) -> dict[str, Any]:
    name, _, first = plan.partition(" ")
    profile = stock_profile("single" if name == "first" else name).model_dump(by_alias=True)
    apart = {"urlArguments": f"_={_nonce(plan, sample)}"}
    options = {key: {"default": each["default"] | apart} for key, each in profile["retrieveOptions"].items()}
    return profile | {"first": first, "retrieveOptions": {"default": {"default": apart}, **options}}


async def load_by_plan(
    admin: Server, viewer: Viewer, paths: tuple[str, ...], plan: str, sample: int
) -> Loaded:
    """Loads frames by a plan and then as a viewer. Raises `OriginError` or `MeasureError`."""
    arrived: list[list[tuple[float, int]]] = [[] for _ in paths]  # time, and bytes from 0 that had arrived
    state, now, began = "", 0.0, time.perf_counter()
    async for name, fields in admin.events_of(await admin.begin_plan(_wanted(paths, plan, sample))):
        now = time.perf_counter() - began
        if name == "frame" and fields["ok"]:
            arrived[fields["image"]].append((now, fields["bytes"]))
        elif name == "end":
            state = fields["state"]
    if state != "done":
        raise MeasureError(f"the plan ended in state {state or 'unknown'}")
    loaded = await viewer.load(paths, Way.WHOLE, _nonce(plan, sample))
    if not loaded.is_hit:
        raise MeasureError("a frame that the plan had fetched was not a hit")
    first, size = min(marks[0] for marks in arrived)
    seen = [
        next(mark for mark in marks if mark[1] >= quarter)
        for marks, quarter in zip(arrived, loaded.quarters, strict=True)
    ]
    return replace(
        loaded,
        first=first,
        first_bytes=size,
        first_codestream=arrived[loaded.earliest][0][1],
        seen=max(at for at, _ in seen),
        seen_bytes=sum(loaded.quarters),
        final=now,
    )


def _wanted(paths: tuple[str, ...], plan: str, sample: int) -> dict[str, Any]:
    resources = [parse_frame_path(path) for path in paths]
    frames = [{"instance": each.instance, "frame": each.frame_number} for each in resources]
    one = resources[0]
    return {"study": one.study, "series": one.series, "frames": frames, "profile": _name(plan, sample)}
