"""The interpreter's own work while the proxy serves: collecting cycles, and switching between threads."""

import gc
import sys

COLLECT_AFTER = 10_000
"""New objects after which the collector of cycles looks at them. It stops everything while it looks.

The objects of a frame and of a connection are in no cycle, so they are freed without it. A request for a
missing frame leaves 188 objects to it, none of which has a frame's bytes. With Python's own 700 a cold frame
took a quarter more of the processor: with 10 at once 1.35 ms instead of 1.03, with 10,000 at once 1.84
instead of 1.54 (the gate of `bench load`, four alternating rounds).
"""
SWITCH_AFTER = 0.0005
"""Seconds after which a thread that computes lets the event loop go on.

The loop loses its turn at each of its own steps that reach the system, of which a request has a dozen. With
Python's own 5 ms, `/livez` took 116 to 171 ms at p99 while a thread read metadata of 100 MB; now 16 to 26
(two rounds of `bench attacks`).
"""


def make_ready() -> None:
    """Sets the interpreter up to serve. The collector skips all objects that exist now, because they stay.

    Otherwise nobody was served for 13 to 53 ms each time that it went through them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    sys.setswitchinterval(SWITCH_AFTER)
