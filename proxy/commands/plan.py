"""The command `plan`: prints the fetches of a series in order, or runs them at an origin."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import uvloop
from tqdm import tqdm

from proxy.access.caller import Caller
from proxy.codestream.reach import ResolutionTarget, Stop
from proxy.errors import UnknownName
from proxy.frame.key import SeriesKey
from proxy.plan.plan import Fetch, ordered
from proxy.plan.profile import STOCK, Profile, stock_profile
from proxy.prefetch.run import Run, State
from proxy.service.app import App, create_app
from proxy.settings.model import Settings
from proxy.settings.reading import read


def plan(options: argparse.Namespace) -> int:
    """Prints a plan for `images` images, or runs it with `--run`."""
    profile = _profile(options.profile)
    if options.run:
        return uvloop.run(_carried_out(profile, options))
    fetches = ordered(profile, options.images)
    if options.json:
        print(json.dumps([_fields(fetch) for fetch in fetches], indent=2))
    else:
        _print_fetches(list(fetches))
    return 0


async def _carried_out(profile: Profile, options: argparse.Namespace) -> int:
    # Environment variables are meant for `serve`.
    settings = Settings(
        _env_prefix="NOTHING_",
        origins=[{"url": options.origin}],
        profiles={"plan": profile.model_dump(by_alias=True)},
    )
    app = create_app(settings)
    async with app.running():
        run = await _started(app, options)
        await _shown(run)
    for count in run.plan.stages:
        took = run.stage_event(count)["startDurationInMS"]
        print(f"{count.stage}: {count.done} of {count.images}, {count.failures} failed, {took} ms")
    print(f"{run.state}: {run.fetched:,} bytes" + (f", {run.error}" if run.error else ""))
    return 0 if run.state is State.DONE and not run.error else 1


async def _started(app: App, options: argparse.Namespace) -> Run:
    caller = Caller("origin", (), b"")
    key = SeriesKey(caller.origin, caller.partition, options.study, options.series)
    return app.plans.start(await app.plans.series(key, caller), caller, "plan")


async def _shown(run: Run) -> None:
    """Shows a progress bar until the plan has ended."""
    total = sum(count.images for count in run.plan.stages)
    with tqdm(total=total, desc="Fetching", unit=" frames") as bar:
        while not run.is_over:
            await run.events.next()
            bar.update(sum(count.done for count in run.plan.stages) - bar.n)


def _profile(name: str) -> Profile:
    """Returns a stock profile, or reads a profile from a file."""
    if name in STOCK:
        return stock_profile(name)
    if not Path(name).exists():
        raise UnknownName(
            f"{name} is neither a file nor a stock profile; stock profiles are {', '.join(STOCK)}"
        )
    return read(Path(name), Profile)


def _fields(fetch: Fetch) -> dict[str, str | int | None]:
    return {
        "stage": fetch.stage,
        "image": fetch.image,
        "retrieveType": fetch.retrieve_type,
        "requestType": fetch.request_type,
        "priority": fetch.priority,
        "start": _plain(fetch.part.start),
        "stop": _plain(fetch.part.stop),
    }


def _plain(mark: Stop | None) -> str | int | None:
    """Returns bytes as a number, a resolution as written in a profile."""
    return str(mark) if isinstance(mark, ResolutionTarget) else mark


def _print_fetches(fetches: Sequence[Fetch]) -> None:
    """Prints one line per fetch; images are 0-based."""
    rows = [("stage", "image", "retrieveType", "requestType", "priority", "range")]
    for fetch in fetches:
        stage, image, kind, queue, priority, *_ = map(str, _fields(fetch).values())
        path = f"  {fetch.frames_path}" if fetch.frames_path else ""
        rows.append((stage, image, kind, queue, priority, str(fetch.part) + path))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if head in ("image", "priority") else cell.ljust(width)
            for head, cell, width in zip(rows[0], row, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())
