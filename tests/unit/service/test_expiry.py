"""Metrics tell when certificates and tokens end, the process's memory, and forwarded requests that failed."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from proxy.service.expiry import certificate_end, token_end, watch
from proxy.settings.model import Settings
from proxy.telemetry.metrics import Metrics
from tests.house import house
from tests.scripted_origin import ScriptedOrigin

END = 1_900_000_000.0


def jwt(payload: str) -> bytes:
    return b"e30." + urlsafe_b64encode(payload.encode()).rstrip(b"=") + b".c2ln"


def certified(folder: Path, end: float = END) -> dict[str, Any]:
    issued = trustme.CA().issue_cert("127.0.0.1", not_after=datetime.fromtimestamp(end, UTC))
    certificate, key = folder / "tls.crt", folder / "tls.key"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    return {"certificate_file": certificate, "key_file": key}


@pytest.mark.parametrize(
    ("content", "end"),
    [
        (jwt('{"exp": 1900000000}'), END),
        (jwt('{"exp": 1900000000.5}') + b"\n", END + 0.5),
        (jwt('{"sub": "proxy"}'), None),
        (jwt('{"exp": null}'), None),
        (jwt('{"exp": "soon"}'), None),
        (jwt('["exp"]'), None),
        (jwt("[" * 100_000), None),
        (b"opaque", None),
        (b"a.b.c", None),
        (b"a.\xff\xff.c", None),
        (b"", None),
    ],
)
def test_a_token_ends_when_it_says(content: bytes, end: float | None, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    found = token_end(path)
    assert isnan(found) if end is None else found == end


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----", b"nothing"])
def test_a_file_without_a_certificate_has_no_end(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tls.crt"
    path.write_bytes(content)
    assert isnan(certificate_end(path))
    assert isnan(certificate_end(tmp_path / "missing"))
    assert isnan(token_end(tmp_path / "missing"))


def test_each_file_has_its_end_and_a_renewed_one_another(tmp_path: Path) -> None:
    tls = certified(tmp_path)
    (tmp_path / "token").write_bytes(jwt('{"exp": 1800000000}'))
    origins = [
        {"name": "pacs", "url": "https://pacs", "tls": tls},
        {"name": "cloud", "url": "https://cloud", "credentials": {"bearer_file": tmp_path / "token"}},
    ]
    metrics = Metrics()
    watch(Settings.model_validate({"listen": {"tls": tls}, "origins": origins}), metrics)

    def end(origin: str, kind: str) -> float | None:
        labels = {"origin": origin, "kind": kind}
        return metrics.registry.get_sample_value("progressive_proxy_expires_timestamp_seconds", labels)

    assert (end("", "listener"), end("pacs", "certificate"), end("cloud", "token")) == (END, END, 1.8e9)
    certified(tmp_path, END + 86400)
    assert end("", "listener") == END + 86400


@pytest.mark.anyio
async def test_the_page_has_the_process_and_no_end_of_what_is_not_set() -> None:
    async with house(ScriptedOrigin()) as home:
        text = (await home.admin.get("/metrics")).text
        for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"):
            assert f"\n{name} " in text
        assert "\nprogressive_proxy_memory_limit_bytes " in text
        assert "\nprogressive_proxy_expires_timestamp_seconds{" not in text


@pytest.mark.anyio
async def test_a_forwarded_request_that_gets_no_response_is_counted_by_its_error() -> None:
    async with house(ScriptedOrigin(), origin={"url": "http://127.0.0.1:1"}, wait=False) as home:
        assert home.app.greeting is not None
        home.app.greeting.cancel()
        labels = {"origin": "pacs", "stage": "pass", "outcome": "unreachable"}
        before = home.metric("origin_requests_total", **labels)
        answer = await home.viewer.get("/studies?limit=1")
        assert answer.status_code == httpx.codes.BAD_GATEWAY
        assert home.metric("origin_requests_total", **labels) == before + 1
