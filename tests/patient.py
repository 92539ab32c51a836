"""The program, for tests on a machine that is busy: nothing in a tier is late, and leases last long.

    python -m tests.patient serve --config FILE

A replica that dies keeps its leases for `LEASE` seconds.
"""

import sys

from proxy import cli
from proxy.cache import fences, patience, server
from proxy.cache.disk import Disk
from proxy.cache.tier import Budget

STORY = 240.0
LEASE = 10.0

if __name__ == "__main__":
    Disk.budget = Budget(STORY, STORY)
    fences.LEASE = LEASE
    server.LIMIT = STORY
    patience.Patience.__init__.__defaults__ = (STORY, STORY)  # for a piece, and for the rest
    sys.exit(cli.main(sys.argv[1:]))
