"""Runs REDbot on one URL and everything it checks there: `python -m tests.droid URL ACCEPT`.

It is a separate program, because REDbot's event loop is global to the process and runs nothing else.
"""

import json
import sys
from configparser import ConfigParser

import thor
from httplint.note import levels
from redbot.resource import HttpResource


def looked_at(url: str, accept: str) -> dict[str, object]:
    """REDbot's warnings by name, those of its own requests included, and if ranges and If-None-Match work."""
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
