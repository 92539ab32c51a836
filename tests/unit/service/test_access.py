import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from proxy.access.caller import Access
from proxy.errors import ConfigurationError
from proxy.service.access import access_of
from proxy.service.open_to_all import open_to_all
from proxy.settings.model import Settings
from proxy.wire.via import Via

BEARER = ("authorization", "Bearer t")


def made(settings: Settings) -> Access:
    return access_of(settings, Via(), AsyncExitStack())


def settings(path: Path) -> Settings:
    given: dict[str, Any] = {"policy": "credential", "key_file": str(path)}
    origin: Any = {"url": "http://pacs.example"}
    return Settings(origins=(origin,), access=given)


def test_the_key_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(bytes(range(32)))
    one, again = (made(settings(path)).partition([BEARER]) for _ in range(2))
    assert one == again
    path.write_bytes(bytes(range(1, 33)))
    assert made(settings(path)).partition([BEARER]) != one


def test_a_key_that_can_not_be_used_is_said_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(ConfigurationError, match=rf"^access.key_file: {path}: can't be read"):
        made(settings(path))
    path.write_bytes(b"k" * 31)
    with pytest.raises(ConfigurationError, match=rf"^access.key_file: {path}: has 31 bytes, .* at least 32"):
        made(settings(path))


OWN = {"credentials": {"bearer_file": "t"}}
CERTIFIED = {"url": "https://pacs.example", "tls": {"certificate_file": "c", "key_file": "k"}}
JWT = {"jwt": {"issuer": "i", "audience": "a", "jwks_file": "f"}}
AUTHORIZER = {"forward_auth": "http://authorizer.example"}
CLIENTS = {"tls": {"certificate_file": "c", "key_file": "k", "client_ca_file": "a"}}


@pytest.mark.parametrize(
    ("origin", "access", "listen", "is_open"),
    [
        ({}, {}, {}, False),
        (OWN, {}, {}, True),
        (CERTIFIED, {}, {}, True),
        (OWN, {"policy": "shared"}, {}, True),
        (OWN, {"identity": {"claims": ["sub"]}}, {}, True),
        (OWN, JWT, {}, False),
        (OWN, AUTHORIZER, {}, False),
        (OWN, {}, CLIENTS, False),
    ],
)
def test_credentials_that_everybody_can_use_are_said(
    origin: dict[str, Any], access: dict[str, Any], listen: dict[str, Any], is_open: bool
) -> None:
    given: Any = {"url": "http://pacs.example", "name": "pacs", **origin}
    words = open_to_all(Settings(origins=(given,), access=access, listen=listen))
    assert (words is not None) is is_open
    assert words is None or ("pacs" in words and "127.0.0.1:8080" in words)


def test_the_library_for_tokens_is_loaded_only_if_a_setting_needs_it() -> None:
    """It takes 9 MiB of each process."""
    told = "import sys, proxy.service.app; print('jwt' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
