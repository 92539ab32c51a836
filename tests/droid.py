"""REDbot looks at one URL, and at what it can: `python -m tests.droid URL ACCEPT`.

A program of its own, since its loop is one for the whole process and waits for nobody.
"""

import json
import sys
from configparser import ConfigParser

import thor
from httplint.note import levels
from redbot.resource import HttpResource


def looked_at(url: str, accept: str) -> dict[str, object]:
    """What it warns of, by name, also for requests of its own; whether ranges and If-None-Match work."""
    config = ConfigParser()
    config.read_dict({"redbot": {"enable_local_access": "True"}})
    resource = HttpResource(config["redbot"])
    resource.set_request(url, headers=[("Accept", accept)])
    resource.on("check_done", thor.stop)
    resource.check()
    thor.run()
    assert resource.response.complete, resource.fetch_error
    notes = [note for each in (resource, *resource.subreqs.values()) for note in each.response.notes]
    return {
        "minded": sorted({type(note).__name__ for note in notes if note.level in (levels.WARN, levels.BAD)}),
        "ranges": resource.partial_support,
        "validates": resource.inm_support,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(looked_at(*sys.argv[1:])))
