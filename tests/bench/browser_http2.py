"""The volume in the browser, over HTTP/1.1 from the proxy and over HTTP/2 from nginx in front of it."""

import asyncio
import getpass
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from proxy.measure.network import PRESETS
from tests.bench.browser_place import VOLUME, Browser, browser, is_hit, new_nonce, place, with_nonce
from tests.bench.browser_quality import Shown
from tests.bench.results import save
from tests.bench.shared import NotInstalled, installed, print_row, running
from tests.browser.plans import KIB, REST, first, reduced
from tests.ports import free_port

CONFIGURATION = Path(__file__).with_name("nginx-http2.conf")
MAIN = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  {temporary}
  include {folder}/ingress.conf;
}}
"""
ROUNDS = 3
COLUMNS = ("decoded", "first", "seen", "arrived", "whole")
STREAMS = (8, 128)
"""Concurrent streams of one connection: the example's value, and nginx's default."""
WIDTHS = (30, 9, 9, 9, 9, 9)

FAST = first(64 * KIB, decodeLevel=1)
SMALL = reduced("/htj2kThumbnail/")
PLANS: Mapping[str, dict[str, Any]] = {
    "whole frames": {"stages": "interleaved"},
    "64 KiB first": {
        "stages": "interleaved",
        "retrieveOptions": {"default": FAST, "multipleFast": FAST, "multipleFinal": REST},
    },
    "128x128 of all first": {
        "stages": [
            {"id": "fast", "retrieveType": "fast", "requestType": "thumbnail", "priority": 5},
            {"id": "final", "retrieveType": "final", "requestType": "thumbnail", "priority": 9},
        ],
        "retrieveOptions": {"fast": SMALL, "final": {}},
    },
}

NETWORKS = {PRESETS["4g"]: tuple(PLANS), PRESETS["local"]: ("whole frames",)}
"""The cases that are measured over each link."""


def run() -> None:
    try:
        asyncio.run(_run())
    except (NotInstalled, pytest.skip.Exception) as missing:
        print(missing)


async def _run() -> None:
    print(
        f"{VOLUME.size}. The link is between the viewer and the proxy, or nginx beside it.\n"
        f"Milliseconds from the first request for a frame, medians of {ROUNDS} loads:\n"
        "  decoded until the viewport gets the first slice\n"
        "  first   until the canvas shows it\n"
        "  seen    until each slice has pixels of its own, at least 128x128\n"
        "  bytes   until the last byte has arrived\n"
        "  whole   until every slice is drawn in full resolution"
    )
    rows: list[dict[str, Any]] = []
    async with browser("--ignore-certificate-errors") as chromium:
        with place(chromium.server.url) as here, ExitStack() as stack:
            chromium.warm, proxy = here.origin, here.proxied(here.origin)
            roots = {"HTTP/1.1": proxy}
            for streams in STREAMS:
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-nginx-")))
                roots[f"HTTP/2, {streams} streams"] = stack.enter_context(ingress(folder, proxy, streams))
            for network, plans in NETWORKS.items():
                print(f"\nLink before the viewer, {network.describe()}")
                print_row(("", "decoded", "first", "seen", "bytes", "whole"), WIDTHS)
                linked = roots
                if network.is_shaped:
                    linked = {name: here.linked(url, network) for name, url in roots.items()}
                for plan in plans:
                    found = await _table(chromium, linked, plan)
                    rows += [{"network": network.name, "plan": plan, **row} for row in found]
    save("http2", "python -m tests.bench http2", rows)


async def _table(chromium: Browser, roots: Mapping[str, str], plan: str) -> list[dict[str, Any]]:
    found: defaultdict[str, list[Shown]] = defaultdict(list)
    for _ in range(ROUNDS):
        for name, root in roots.items():
            chromium.protocol = "h2" if root.startswith("https:") else "http/1.1"
            retrieve = with_nonce(PLANS[plan], new_nonce())
            for cache in ("cold", "hot"):
                shown, seen = await chromium.load(VOLUME, root, retrieve)
                assert cache == "cold" or is_hit(seen), "the proxy sent a request to the origin"
                found[f"{name}, {cache}"].append(shown)
    print(plan)
    rows = []
    for name in sorted(found, key=lambda name: name.rpartition(", ")[2]):
        medians = [median(getattr(load, column) for load in found[name]) for column in COLUMNS]
        print_row((f"  {name}", *(f"{each:,.0f}" for each in medians)), WIDTHS)
        times = {f"{column}_ms": round(took) for column, took in zip(COLUMNS, medians, strict=True)}
        way, _, cache = name.rpartition(", ")
        rows.append({"way": way, "cache": cache, **times})
    return rows


@contextmanager
def ingress(folder: Path, proxy: str, streams: int = STREAMS[0]) -> Iterator[str]:
    """Runs nginx with the example's configuration in front of a proxy, and yields its URL.

    `ca.pem` in `folder` is the certificate authority. Raises `NotInstalled`.
    """
    program, port = installed("nginx", "nginx-light"), free_port()
    _write_certificate(folder)
    text = CONFIGURATION.read_text("utf-8")
    for example, ours in (
        ("127.0.0.1:8080", urlsplit(proxy).netloc),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("http2_max_concurrent_streams 8", f"http2_max_concurrent_streams {streams}"),
        ("/etc/nginx/tls/viewer.example", str(folder / "server")),
    ):
        assert example in text, example
        text = text.replace(example, ours)
    (folder / "ingress.conf").write_text(text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    main = folder / "nginx.conf"
    main.write_text(MAIN.format(folder=folder, temporary=temporary, user=user))
    command = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(main)]
    subprocess.run([*command, "-t", "-q"], check=True)
    with running(command, port) as url:
        yield url.replace("http:", "https:")


def _write_certificate(folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(folder / "server.key")
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(folder / "server.crt", append=True)
