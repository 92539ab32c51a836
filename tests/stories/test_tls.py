"""The listeners speak TLS with certificates from files, and ask clients for one if authorities are named."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from proxy.errors import ConfigurationError
from proxy.origin.transport import Tls
from proxy.service.tls import contexts
from tests.house import House, cache_did, house
from tests.scripted_origin import ScriptedOrigin, codestream, frame_of

pytestmark = pytest.mark.anyio

FRAME, BODY = frame_of(0), codestream(300_000)
SINGLE = {"accept": "image/jphc"}


class Files:
    """An authority, and files with what it has certified."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ca = folder, trustme.CA()
        self.ca_file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.ca_file)

    def certify(self, name: str) -> dict[str, Any]:
        """Settings with a certificate for the proxy."""
        issued = self.ca.issue_cert("127.0.0.1", common_name=name)
        certificate, key = self.folder / "tls.crt", self.folder / "tls.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return {"certificate_file": certificate, "key_file": key}

    def client(self, ca: trustme.CA | None = None) -> Tls:
        """A viewer with a certificate of an authority."""
        issued = (ca or self.ca).issue_cert("viewer@example.org")
        certificate, key = self.folder / "viewer.crt", self.folder / "viewer.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return Tls(self.ca_file, certificate, key)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


async def served(home: House) -> bytes:
    answer = await home.viewer.get(FRAME, headers=SINGLE)
    assert answer.status_code == 200
    return answer.content


async def test_frames_and_health_go_over_tls(files: Files) -> None:
    listen = {"tls": files.certify("proxy")}
    async with house(ScriptedOrigin({FRAME: BODY}), listen=listen, client=Tls(files.ca_file)) as home:
        assert [await served(home), await served(home)] == [BODY, BODY]
        assert (await home.admin.get("/livez")).status_code == 200
        part = await home.viewer.get(FRAME, headers=SINGLE | {"range": "bytes=100-199"})
        assert (part.status_code, part.content, cache_did(part)) == (206, BODY[100:200], "hit")


async def test_plain_http_gets_no_answer_and_keeps_nobody_waiting(files: Files) -> None:
    listen = {"tls": files.certify("proxy")}
    async with house(ScriptedOrigin({FRAME: BODY}), listen=listen, client=Tls(files.ca_file)) as home:
        host, port = home.viewer.base_url.host, home.viewer.base_url.port
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert not (await reader.read()).startswith(b"HTTP")
        writer.close()
        assert await served(home) == BODY


async def test_who_never_shakes_hands_is_let_go(files: Files) -> None:
    listen = {"tls": files.certify("proxy"), "header_seconds": 0.2}
    async with house(ScriptedOrigin({FRAME: BODY}), listen=listen, client=Tls(files.ca_file)) as home:
        reader, writer = await asyncio.open_connection(home.viewer.base_url.host, home.viewer.base_url.port)
        assert await reader.read() == b""
        writer.close()
        assert await served(home) == BODY


async def test_viewers_show_a_certificate_if_authorities_are_named(files: Files) -> None:
    listen = {"tls": files.certify("proxy") | {"client_ca_file": files.ca_file}}
    origin = ScriptedOrigin({FRAME: BODY})
    async with house(origin, listen=listen, client=files.client()) as home:
        assert await served(home) == BODY
    for client in (Tls(files.ca_file), files.client(trustme.CA())):
        async with house(origin, listen=listen, client=client) as home:
            before = len(origin.asked_after_greeting)
            with pytest.raises(httpx.TransportError):
                await home.viewer.get(FRAME, headers=SINGLE)
            assert len(origin.asked_after_greeting) == before


@pytest.mark.parametrize(("has_one", "status"), [(True, 200), (False, 404)])
async def test_on_the_admin_listener_a_certificate_opens_what_is_locked(
    files: Files, has_one: bool, status: int
) -> None:
    listen = {"tls": files.certify("proxy") | {"client_ca_file": files.ca_file}}
    client = files.client() if has_one else Tls(files.ca_file)
    async with house(ScriptedOrigin(), listen=listen, client=client, admin={}) as home:
        assert (await home.admin.get("/v1/origins")).status_code == status
        assert (await home.admin.get("/metrics")).status_code == 200


async def test_without_authorities_a_certificate_opens_nothing(files: Files) -> None:
    listen = {"tls": files.certify("proxy")}
    async with house(ScriptedOrigin(), listen=listen, client=files.client(), admin={}) as home:
        assert (await home.admin.get("/v1/origins")).status_code == 404


async def test_a_certificate_that_changes_counts_for_new_connections(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    listen = {"tls": files.certify("one")}
    async with house(ScriptedOrigin({FRAME: BODY}), listen=listen, client=Tls(files.ca_file)) as home:
        assert await _shown_by(home, files) == "one"
        await asyncio.to_thread(files.certify, "two")
        while await _shown_by(home, files) != "two":
            await asyncio.sleep(0.02)
        await asyncio.to_thread((files.folder / "tls.key").write_text, "")
        while "can't be used; the last good one stays" not in caplog.text:
            assert await _shown_by(home, files) == "two"
            await asyncio.sleep(0.02)
        assert await _shown_by(home, files) == "two"
        assert await served(home) == BODY


async def _shown_by(home: House, files: Files) -> str:
    """The common name of the certificate that a new connection gets."""
    context = ssl.create_default_context(cafile=files.ca_file)
    _, writer = await asyncio.open_connection(
        home.viewer.base_url.host, home.viewer.base_url.port, ssl=context, server_hostname="127.0.0.1"
    )
    certificate = writer.get_extra_info("peercert")
    writer.close()
    return str(dict(pair for pairs in certificate["subject"] for pair in pairs)["commonName"])


def test_files_that_do_not_fit_are_refused_at_start(files: Files) -> None:
    named = files.certify("one")
    other = files.client()
    assert other.key_file is not None
    for certificate, key, authorities in (
        (named["certificate_file"], other.key_file, None),
        (named["key_file"], named["key_file"], None),
        (named["certificate_file"], named["key_file"], named["key_file"]),
    ):
        with pytest.raises(ConfigurationError, match="no certificates in PEM, or no key"):
            contexts(certificate, key, authorities, is_required=True)
    with pytest.raises(ConfigurationError, match="can't be read"):
        contexts(files.folder / "none", named["key_file"], None, is_required=True)
