"""Runs the named benchmarks, or all short ones, one after the other: `python -m tests.bench [name …]`."""

import argparse
import signal

from tests.bench import (
    attacks,
    browser,
    browser_http2,
    busy,
    cells,
    demo,
    disk,
    encode,
    engines,
    fast,
    first_pane,
    grid,
    hits,
    hostile,
    layout,
    lines,
    load,
    memory,
    opened,
    oracle,
    people,
    plan,
    replicas,
    sequences,
    silence,
    soak,
    study,
    twenty,
    workers,
)

BENCHMARKS = {
    "fast": fast.run,
    "quick": fast.quick,
    "demo": demo.run,
    "first-pane": first_pane.run,
    "twenty": twenty.run,
    "grid": grid.run,
    "cells": cells.run,
    "load": load.run,
    "busy": busy.run,
    "lines": lines.run,
    "hits": hits.run,
    "workers": workers.run,
    "memory": memory.run,
    "disk": disk.run,
    "engines": engines.run,
    "plan": plan.run,
    "layout": layout.run,
    "hostile": hostile.run,
    "attacks": attacks.run,
    "oracle": oracle.run,
    "people": people.run,
    "encode": encode.run,
    "replicas": replicas.run,
    "silence": silence.run,
    "sequences": sequences.run,
    "study": study.run,
    "soak": soak.run,
    "browser": browser.run,
    "http2": browser_http2.run,
    "opened": opened.run,
}
LONG = {"browser", "engines", "first-pane", "http2", "lines", "opened", "replicas", "sequences", "soak"}
"""Benchmarks that take many minutes, or need a browser. They run only if they are named."""


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    names = parser.parse_args().names or [name for name in BENCHMARKS if name not in LONG]
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that child processes are stopped too
    for place, name in enumerate(names):
        print("\n" * (place > 0) + f"== {name}", flush=True)
        BENCHMARKS[name]()


if __name__ == "__main__":
    main()
