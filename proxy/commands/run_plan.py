"""`plan --run`: carries a plan out and shows its progress."""

import argparse

import uvloop
from tqdm import tqdm

from proxy.access.caller import Caller
from proxy.frame.key import SeriesKey
from proxy.plan.profile import Profile
from proxy.prefetch.run import Run, State
from proxy.service.app import App, create_app
from proxy.settings.model import Settings


def carry_out(profile: Profile, options: argparse.Namespace) -> int:
    """Runs a plan for a series of an origin; returns 1 if a fetch failed."""
    return uvloop.run(_carried_out(profile, options))


async def _carried_out(profile: Profile, options: argparse.Namespace) -> int:
    # Environment variables are meant for `serve`.
    settings = Settings(
        _env_prefix="NOTHING_",
        origins=[{"url": options.origin, "via": {} if options.via is None else {"url": options.via}}],
        profiles={"plan": profile.model_dump(by_alias=True)},
    )
    app = create_app(settings)
    async with app.running():
        run = await _started(app, options)
        await _shown(run)
    [part] = run.parts
    for count in part.plan.stages:
        took = part.stage_event(count)["startDurationInMS"]
        print(f"{count.stage}: {count.done} of {count.images}, {count.failures} failed, {took} ms")
    print(f"{run.state}: {run.fetched:,} bytes" + (f", {run.error}" if run.error else ""))
    return 0 if run.state is State.DONE and not run.error else 1


async def _started(app: App, options: argparse.Namespace) -> Run:
    caller = Caller("origin", (), b"")
    key = SeriesKey(caller.origin, caller.partition, options.study, options.series)
    return app.plans.start(await app.plans.series(key, caller), caller, "plan")


async def _shown(run: Run) -> None:
    """Shows a progress bar until the plan has ended."""
    [part] = run.parts
    total = sum(count.images for count in part.plan.stages)
    with tqdm(total=total, desc="Fetching", unit=" frames") as bar:
        while not run.is_over:
            await run.events.next()
            bar.update(sum(count.done for count in part.plan.stages) - bar.n)
