"""The command `warm`: makes a running proxy fetch what its configuration names in `warm`, and waits for it.

The proxy does the work. If the command is interrupted, the work goes on, and the command can be run again to
wait for its end. If the proxy itself is restarted, the command makes it begin again, and it fetches only what
its caches have lost.
"""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import uvloop
from tqdm import tqdm

from proxy.commands.urls import server_url
from proxy.errors import ConfigurationError, OriginRefused, OriginUnreachable
from proxy.measure.server import Server
from proxy.origin.credentials import token_in
from proxy.origin.transport import Tls

ADMIN = "http://127.0.0.1:8081"
PAUSE = 1.0
"""Seconds between two looks at the progress."""
PATIENCE = 120
"""Looks in a row at which the proxy may be away, as while it is restarted."""
GOOD = ("done", "spent")
"""States in which nothing is wrong."""

Told = list[dict[str, Any]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to warm, by name; without one, all")
    parser.add_argument(
        "--admin", type=server_url, default=ADMIN, metavar="URL", help=f"the admin listener, else {ADMIN}"
    )
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="file with the operator's token")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="authorities to trust, for https")
    parser.add_argument("--json", action="store_true", help="print the result as JSON, and no progress")
    parser.add_argument("--cancel", action="store_true", help="cancel all that runs instead")
    parser.set_defaults(command=warm)


def warm(options: argparse.Namespace) -> int:
    """Warms once; returns 1 if something failed."""
    return uvloop.run(_warmed(options))


async def _warmed(options: argparse.Namespace) -> int:
    headers = {}
    if options.token_file is not None:
        token = await asyncio.to_thread(token_in, options.token_file)
        headers = {"Proxy-Authorization": f"Bearer {await token.current()}"}
    url, tls = f"{options.admin.rstrip('/')}/v1/", Tls(options.ca_file)
    async with await asyncio.to_thread(Server, url, headers, tls=tls) as admin:
        try:
            if options.cancel:
                await admin.warm("DELETE")
                return 0
            told = await _carried_out(admin, options.names, is_shown=not options.json)
        except OriginRefused as error:
            why = {401: "it wants the operator's token: --token-file", 404: "it has no such name, or is off"}
            words = why.get(error.status, f"it answered {error.status}")
            raise ConfigurationError(f"{options.admin}: {words}") from error
    return _end(told, as_json=options.json)


async def _carried_out(admin: Server, names: list[str], *, is_shown: bool) -> Told:
    """Begins, and looks again and again until all of these have ended."""
    wanted, away = {"names": names}, 0
    told = _of(await admin.warm("POST", wanted), names)
    with tqdm(total=0, desc="Warming", unit=" studies", disable=not is_shown) as bar:
        while True:
            _show(bar, told)
            if not any(each["state"] in ("running", "idle") for each in told):
                return told
            await asyncio.sleep(PAUSE)
            try:
                is_new = any(each["state"] == "idle" for each in told)  # the proxy was restarted
                told = _of(await admin.warm(*(("POST", wanted) if is_new else ())), names)
                away = 0
            except OriginUnreachable:
                away += 1
                if away >= PATIENCE:
                    raise


def _of(told: Told, names: list[str]) -> Told:
    return [each for each in told if not names or each["name"] in names]


def _show(bar: "tqdm[Any]", told: Told) -> None:
    bar.total = sum(each["studies"] for each in told)
    bar.n = sum(each["done"] + each["skipped"] + each["failed"] for each in told)
    bar.set_postfix_str(f"{sum(each['bytes'] for each in told) / 1e6:,.0f} MB")


def _end(told: Told, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(told, indent=2))
    for each in () if as_json else told:
        counts = f"{each['done']} fetched, {each['skipped']} unchanged, {each['failed']} failed"
        error = f"; {each['error']}" if each["error"] else ""
        print(f"{each['name']}: {each['state']}: of {each['studies']} studies {counts}{error}")
    return 0 if all(each["state"] in GOOD and not each["failed"] for each in told) else 1
