"""The forms that a shared server has: a socket, TLS with a user, Sentinel, a cluster."""

import asyncio
import re
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import trustme
from valkey.asyncio import Valkey

from proxy.cache.fences import Fences
from proxy.cache.server import Address
from proxy.cache.shared import Shared
from proxy.errors import ConfigurationError
from proxy.service.tiers import tiers_of
from proxy.settings.model import Settings
from proxy.telemetry.telemetry import Telemetry
from tests.house import STORY, houses
from tests.pages.parts import ROOT
from tests.scripted_origin import ScriptedOrigin, codestream, frame_of
from tests.stories.test_shared import SINGLE, STUDY, key_of, shared, until_empty
from tests.valkey_server import running_valkey, settings_with

pytestmark = pytest.mark.anyio

BODIES = [codestream(1_500_000 + number, seed=number) for number in range(4)]


async def share(settings: dict[str, Any]) -> None:
    """One replica fetches, another one has it from the server, and a purge reaches that."""
    async with houses(ScriptedOrigin().with_series(BODIES), 2, **settings) as (one, two):
        for home in (one, two):
            await shared(home).channel.is_open.wait()
        for number in range(len(BODIES)):
            await one.viewer.get(frame_of(number), headers=SINGLE)
        await one.until_written()
        one.origin.asked.clear()
        for number, body in enumerate(BODIES):
            answer = await two.viewer.get(frame_of(number), headers=SINGLE)
            assert answer.content == body
        assert one.origin.frame_requests == []
        await leases_are_kept(shared(one), shared(two))
        assert (await one.admin.delete(f"/cache{STUDY}")).status_code == 204
        await until_empty(two)


async def leases_are_kept(*replicas: Shared) -> None:
    """Leases are renewed, and given back, wherever they lie.

    They are taken beside the replicas' own, which the replicas give back by themselves when no frame comes.
    """
    keys = [key_of(frame_of(number)) for number in range(len(BODIES))]
    one, two = (Fences(replica._server, STORY, monotonic) for replica in replicas)
    one.lease = two.lease = STORY
    places = replicas[0]._keys

    async def taken(by: Fences) -> list[bool]:
        return [(await by.take(key, places.of(key))).is_mine for key in keys]

    assert await taken(one) == [True] * len(keys)
    await one.renew(lambda _: True)
    assert len(one._held) == len(keys)
    assert await taken(two) == [False] * len(keys)
    await one.renew(lambda _: False)
    assert await taken(two) == [True] * len(keys)


def rights(*more: str) -> list[str]:
    """The rights of a user as the page says them."""
    page = (ROOT / "docs" / "deploy" / "shared.md").read_text("utf-8")
    (words,) = re.findall(r"^~pp.*$", page, re.MULTILINE)
    assert all(f"`{word}`" in page for word in more)
    return [*words.split(), *more]


def user_with(words: list[str]) -> tuple[str, ...]:
    """The server's options for a user."""
    password = sha256(b"pass word").hexdigest()
    return ("--user", "proxy", "on", f"#{password}", "resetchannels", *words)


async def test_a_socket(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "s"
    with running_valkey(tmp_path, "--unixsocket", str(path)):
        await share(settings_with(tmp_path, f"unix://{path}"))


async def test_tls_and_a_user_of_the_acl(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "server.pem"
    )
    files = ("--tls-cert-file", str(tmp_path / "server.pem"), "--tls-key-file", str(tmp_path / "server.pem"))
    options = ("--tls-port", "PORT", "--port", "0", "--tls-auth-clients", "no", *files)
    (tmp_path / "password").write_text("pass word\n")
    user = user_with(rights())
    with running_valkey(tmp_path, *options, "--user", "default", "off", *user) as port:
        given = {"user": "proxy", "password_file": str(tmp_path / "password")}
        ca = {"ca_file": str(tmp_path / "ca.pem")}
        await share(settings_with(tmp_path, f"valkeys://localhost:{port}", **given, **ca))


async def test_sentinel(tmp_path: Path) -> None:
    with running_valkey(tmp_path) as primary:
        conf = tmp_path / "sentinel.conf"
        conf.write_text(f"sentinel monitor main 127.0.0.1 {primary} 1\n")
        with running_valkey(tmp_path, "--sentinel", conf=conf) as port:
            await share(settings_with(tmp_path, f"valkey+sentinel://127.0.0.1:{port}/main"))


async def test_a_cluster(tmp_path: Path) -> None:
    cluster = ("--cluster-enabled", "yes", "--cluster-config-file")
    user = user_with(rights("+cluster|slots"))
    (tmp_path / "password").write_text("pass word\n")
    given = {"user": "proxy", "password_file": str(tmp_path / "password")}
    with (
        running_valkey(tmp_path, *cluster, "one.conf", *user) as one,
        running_valkey(tmp_path, *cluster, "two.conf", *user) as two,
    ):
        nodes: list[Any] = [Valkey(port=each, socket_timeout=STORY) for each in (one, two)]
        async with nodes[0] as first, nodes[1] as second:
            await first.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
            await second.execute_command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
            await first.execute_command("CLUSTER", "MEET", "127.0.0.1", two)
            for node in (first, second):
                while "cluster_state:ok" not in str(await node.execute_command("CLUSTER", "INFO")):
                    await asyncio.sleep(0.01)
        url = f"valkey+cluster://127.0.0.1:{one},127.0.0.1:{two}"
        await share(settings_with(tmp_path, url, **given))


@pytest.mark.parametrize(
    ("url", "hosts", "kind"),
    [
        ("valkey://cache", (("cache", 6379),), ""),
        ("rediss://cache:7000/3", (("cache", 7000),), ""),
        ("valkey://[::1]:7", (("::1", 7),), ""),
        ("redis+sentinel://a,b:7/main", (("a", 26379), ("b", 7)), "sentinel"),
        ("valkeys+cluster://a,b:7", (("a", 6379), ("b", 7)), "cluster"),
    ],
)
def test_an_address(url: str, hosts: object, kind: str) -> None:
    address = Address.of(url)
    assert (address.hosts, address.kind) == (hosts, kind)
    assert address.is_tls == url.startswith(("rediss", "valkeys"))


@pytest.mark.parametrize(
    "shared",
    [
        {"url": "valkey://a,b"},
        {"url": "valkey+sentinel://a"},
        {"url": "valkey+cluster://a/2"},
        {"url": "valkey://a/x"},
        {"url": "valkey://a", "password_env": "NOT_SET_ANYWHERE"},
        {"url": "valkey://a", "password_file": "/nowhere"},
    ],
)
def test_what_can_not_be_used_is_refused_at_start(tmp_path: Path, shared: dict[str, Any]) -> None:
    origin = {"name": "pacs", "url": "http://pacs.example"}
    settings = Settings(origins=[origin], **settings_with(tmp_path, **shared))
    with pytest.raises(ConfigurationError, match=r"cache\.shared"):
        tiers_of(settings, Telemetry())


@pytest.mark.parametrize(
    "shared",
    [
        {"url": "http://a"},
        {"url": "valkey://user:password@a"},
        {"url": "valkey://a:x"},
        {"url": "valkey://"},
        {"ttl": 5},
        {"url": "valkey://a", "user": "u"},
        {"url": "valkey://a", "ca_file": "ca.pem"},
        {"url": "valkeys://a", "certificate_file": "c.pem"},
        {"url": "valkey://a", "password_env": "A", "password_file": "b"},
    ],
)
def test_settings_that_do_not_agree_are_refused(tmp_path: Path, shared: dict[str, Any]) -> None:
    given = settings_with(tmp_path, shared.pop("url", None), **shared)
    with pytest.raises(ValueError, match=r"cache\.shared|url"):
        Settings(origins=[{"name": "pacs", "url": "http://pacs.example"}], **given)


def test_it_needs_a_key_that_all_replicas_have() -> None:
    with pytest.raises(ValueError, match=r"access\.key_file"):
        Settings(
            origins=[{"name": "pacs", "url": "http://pacs.example"}],
            cache={"shared": {"url": "valkey://a"}},
        )
