"""The command `warm`: it begins, waits for the end, and tells what came of it."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from proxy.commands.warm import _warmed
from proxy.errors import ConfigurationError, OriginUnreachable
from tests.house import House, house
from tests.stories.test_tls import Files
from tests.stories.test_warm import Archive, warming

pytestmark = pytest.mark.anyio

TOKEN = "an operator's own"


def options(home: House, **more: Any) -> Namespace:
    given: dict[str, Any] = {
        "names": [],
        "admin": str(home.admin.base_url),
        "token_file": None,
        "ca_file": None,
    }
    return Namespace(**given | {"json": False, "cancel": False} | more)


async def test_it_tells_what_was_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    async with house(Archive(2), **warming()) as home:
        assert await _warmed(options(home)) == 0
        assert "worklist: done: of 2 studies 2 fetched, 0 unchanged, 0 failed" in capsys.readouterr().out
        assert await _warmed(options(home, names=["worklist"], json=True)) == 0
        told = json.loads(capsys.readouterr().out)
        assert [(each["state"], each["skipped"]) for each in told] == [("done", 2)]


async def test_a_study_that_fails_is_its_status() -> None:
    archive = Archive(2)
    archive.metadata.clear()
    async with house(archive, **warming()) as home:
        assert await _warmed(options(home)) == 1


async def test_it_shows_the_operators_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN.replace(" ", "-"))
    async with house(Archive(1), admin={"token_file": token}, **warming()) as home:
        with pytest.raises(ConfigurationError, match="--token-file"):
            await _warmed(options(home))
        assert await _warmed(options(home, token_file=token)) == 0
        assert await _warmed(options(home, token_file=token, cancel=True)) == 0


async def test_over_tls_it_trusts_the_authorities_in_a_file_and_shows_the_token_only(tmp_path: Path) -> None:
    """So it is in the chart's CronJob: viewers have to show certificates, and it has none."""
    files, token = Files(tmp_path), tmp_path / "token"
    token.write_text(TOKEN.replace(" ", "-"))
    settings = warming() | {
        "listen": {"tls": files.certify("proxy") | {"client_ca_file": files.ca_file}},
        "admin": {"token_file": token},
    }
    async with house(Archive(1), client=files.client(), **settings) as home:
        with pytest.raises(OriginUnreachable):
            await _warmed(options(home, token_file=token))
        assert await _warmed(options(home, token_file=token, ca_file=files.ca_file)) == 0


async def test_a_name_that_is_not_configured_and_a_proxy_that_is_not_there() -> None:
    async with house(Archive(1), **warming()) as home:
        with pytest.raises(ConfigurationError, match="no such name"):
            await _warmed(options(home, names=["nothing"]))
        with pytest.raises(OriginUnreachable):
            await _warmed(options(home, admin="http://127.0.0.1:1"))
