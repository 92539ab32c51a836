"""The transport on real sockets: what is sent again, how long it waits, whom it trusts, HTTP/2."""

import asyncio
import os
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import httpx
import pytest
import trustme

from proxy.errors import ConfigurationError
from proxy.origin.faults import CertificateRefused
from proxy.origin.transport import Tls, Transport, TransportLimits
from tests.ports import free_port
from tests.raw_server import OK, PATIENT, Asked, HangUp, RawServer, client_of, says_ok, serving
from tests.simulation.clock import JumpingLoop, jump

pytestmark = pytest.mark.anyio

HEADERS = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
LIMIT = 100.0
"""Seconds of a limit that is reached only by a jump."""
BRIEF = replace(PATIENT, first_byte=0.5, stall=0.5)
"""Limits of which the Rust client keeps one by a clock of its own, so that a test has to wait for it."""


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": JumpingLoop}


async def turns() -> None:
    """Runs everything that is ready to run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def passes(seconds: float) -> None:
    """So much time passes, and what is late by then runs."""
    await turns()
    jump(seconds)
    await turns()


async def closes_what_was_used(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """As an origin whose idle connections end in the moment in which the next request comes."""
    if asked.turn:
        raise HangUp
    writer.write(OK)


async def test_a_header_that_is_not_ascii_takes_no_other_along_and_the_log_names_it_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        cookies = b"".join(
            b"Set-Cookie: %s\r\n" % pair for pair in (b"a=1", b"b=\xe9", b"c=\xc3\xa9", b"d=4")
        )
        writer.write(HEADERS.replace(b"\r\n\r\n", b"\r\n" + cookies + b"X: 1\r\n\r\n") + b"ok")

    async with serving(answer) as server, client_of(server.url) as client:
        for _ in range(2):
            response = await client.get("/")
            assert response.headers.get_list("set-cookie") == ["a=1", "d=4"]
            assert (response.headers["x"], response.text) == ("1", "ok")
    (line,) = [vars(record) for record in caplog.records if record.name == "proxy.origin.response"]
    assert (line["header"], line["server"]) == ("set-cookie", server.url.removeprefix("http://"))
    assert "\xe9" not in str(line)


async def test_what_is_unknown_for_how_long_and_for_whom_is_not_kept() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        said = b"Cache-Control: no-store, x=\xe9\r\nVary: X-\xe9\r\n"
        writer.write(HEADERS.replace(b"\r\n\r\n", b"\r\n" + said + b"\r\n") + b"ok")

    async with serving(answer) as server, client_of(server.url) as client:
        response = await client.get("/")
        assert (response.headers["cache-control"], response.headers["vary"]) == ("no-store", "*")


async def test_a_get_whose_idle_connection_ends_beneath_it_is_sent_again_on_a_new_one() -> None:
    both = asyncio.Barrier(2)

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.target == "/both":
            await both.wait()
        await closes_what_was_used(asked, writer)

    async with serving(answer) as server, client_of(server.url) as client:
        await asyncio.gather(client.get("/both"), client.get("/both"))
        assert server.connections == 2
        # All idle connections would fail: the pool's next one is no better.
        while not any(asked.turn for asked in server.asked):  # a connection is idle a moment after its answer
            response = await client.get("/again")
            assert (response.status_code, response.content) == (200, b"ok")
    assert (server.asked[-2].turn, server.asked[-1].turn) == (1, 0)
    assert server.asked[-1].connection == server.connections - 1


async def test_what_hyper_had_not_begun_to_write_it_repeats_itself() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        raise HangUp

    async with serving(answer) as server, client_of(server.url) as client:
        for _ in range(5):
            assert (await client.get("/")).content == b"ok"
        assert [asked.turn for asked in server.asked] == [0] * 5


async def test_a_server_that_never_answers_is_asked_twice_and_no_more() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(HEADERS[:20])
        await writer.drain()
        raise HangUp

    async with serving(answer) as server, client_of(server.url) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="hung up before it answered"):
            await client.get("/")
        assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("method", "content"), [("POST", b"one study"), ("DELETE", None), ("GET", b"a body"), ("PUT", b"")]
)
async def test_what_may_not_be_done_twice_is_sent_once(method: str, content: bytes | None) -> None:
    async with serving(closes_what_was_used) as server, client_of(server.url) as client:
        await client.get("/")
        with pytest.raises(httpx.RemoteProtocolError):
            while True:  # a connection is idle a moment after its answer
                await client.request(method, "/", content=content)
        *before, last = server.asked
        assert (last.method, last.turn) == (method, 1)
        assert not any(asked.turn for asked in before)


async def test_an_upload_takes_no_connection_that_was_used_before() -> None:
    async def study() -> AsyncIterator[bytes]:
        yield b"one study"

    async with serving(closes_what_was_used) as server, client_of(server.url) as client:
        for _ in range(3):
            await client.get("/")
            assert (await client.post("/studies", content=study())).content == b"ok"
        assert [(asked.turn, asked.body) for asked in server.asked if asked.body] == [(0, b"one study")] * 3


async def test_a_body_that_is_cut_is_not_asked_for_again() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(HEADERS + b"o")
        await writer.drain()
        raise HangUp

    async with serving(answer) as server, client_of(server.url) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("/")
        assert len(server.asked) == 1


async def test_headers_that_do_not_come_end_the_request_and_its_connection() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        assert await asked.reader.read() == b""

    tries = 0
    async with serving(answer) as server, client_of(server.url, BRIEF) as client:
        while not server.asked:  # a busy machine may take longer to send a request
            tries += 1
            with pytest.raises(httpx.ReadTimeout):
                await client.get("/")
        while server.open:
            await asyncio.sleep(0.01)
        assert len(server.asked) <= tries


async def test_a_caller_who_leaves_before_the_headers_leaves_no_connection_for_long() -> None:
    came = asyncio.Event()

    async def ask(client: httpx.AsyncClient) -> None:
        while True:  # a busy machine may take longer to send a request
            with suppress(httpx.ReadTimeout):
                await client.get("/")

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        came.set()
        assert await asked.reader.read() == b""

    async with serving(answer) as server, client_of(server.url, BRIEF) as client:
        asking = asyncio.ensure_future(ask(client))
        await came.wait()
        asking.cancel()
        while server.open:
            await asyncio.sleep(0.01)


async def test_a_silence_inside_a_body_has_a_limit_of_its_own() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(HEADERS + b"o")
        await asked.reader.read()

    async with (
        serving(answer) as server,
        client_of(server.url, replace(PATIENT, stall=LIMIT)) as client,
        client.stream("GET", "/") as response,
    ):
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"o"
        reading = asyncio.ensure_future(anext(chunks))
        await turns()
        assert not reading.done()
        jump(LIMIT)
        with pytest.raises(httpx.ReadTimeout, match="no byte in time"):
            await reading


@pytest.mark.parametrize(
    "limits", [replace(PATIENT, stall=LIMIT), replace(PATIENT, first_byte=LIMIT)], ids=["stall", "first byte"]
)
async def test_neither_limit_counts_for_the_other(limits: TransportLimits) -> None:
    has_headers = asyncio.Event()

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if limits.stall == LIMIT:
            await passes(LIMIT)
        writer.write(HEADERS)
        await writer.drain()
        await has_headers.wait()
        writer.write(b"ok")

    async with (
        serving(answer) as server,
        client_of(server.url, limits) as client,
        client.stream("GET", "/") as response,
    ):
        if limits.first_byte == LIMIT:
            await passes(LIMIT)
        has_headers.set()
        assert await response.aread() == b"ok"


async def test_a_long_upload_is_not_taken_for_a_late_answer() -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(3):
            await passes(0.5 * LIMIT)
            yield b"part"

    async with (
        serving(says_ok) as server,
        client_of(server.url, replace(PATIENT, first_byte=LIMIT)) as client,
    ):
        assert (await client.post("/studies", content=body())).content == b"ok"
        assert server.asked[0].body == b"part" * 3


async def test_waiting_for_ones_turn_is_no_silence_of_the_server() -> None:
    limits = replace(PATIENT, first_byte=LIMIT, connections=2)
    async with serving(says_ok) as server, client_of(server.url, limits) as client:
        held = [await client.send(client.build_request("GET", "/held"), stream=True) for _ in range(2)]
        third = asyncio.ensure_future(client.get("/third"))
        await passes(LIMIT)
        async with client_of(server.url) as other:
            await other.get("/later")
        assert [asked.target for asked in server.asked] == ["/held", "/held", "/later"]
        await held[0].aclose()
        assert (await third).content == b"ok"
        await held[1].aclose()


async def test_a_port_where_nobody_listens_is_no_connection() -> None:
    async with serving(says_ok) as server:
        url = server.url
    async with client_of(url) as client:
        with pytest.raises(httpx.ConnectError) as caught:
            await client.get("/")
    assert not isinstance(caught.value, CertificateRefused)


async def test_a_connection_that_is_never_made_has_a_limit_of_its_own() -> None:
    """A listener with a full queue takes no further connection."""
    with socket.socket() as listener, socket.socket() as first:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        first.connect(("127.0.0.1", port))
        async with client_of(f"http://127.0.0.1:{port}", replace(PATIENT, connect=0.3)) as client:
            with pytest.raises(httpx.ConnectTimeout):
                await client.get("/")


class House:
    """An authority, and what it has certified, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.ca_file)

    def context(
        self, *, names: str = "localhost", until: datetime | None = None, asks: bool = False
    ) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        since = datetime(2015, 1, 1) if until else None  # noqa: DTZ001  # trustme takes naive ones
        self.ca.issue_cert(names, not_after=until, not_before=since).configure_cert(context)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            self.ca.configure_trust(context)
        return context

    def own(self, name: str, ca: trustme.CA | None = None) -> Tls:
        """A certificate for us, in files that Kubernetes would mount: behind a link that can be swapped."""
        version = self.folder / f"..{name}"
        version.mkdir()
        issued = (ca or self.ca).issue_cert(common_name=name)
        (version / "tls.crt").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(version / "tls.key")
        self.swap(version)
        data = self.folder / "..data"
        return Tls(self.ca_file, data / "tls.crt", data / "tls.key")

    def swap(self, version: Path) -> None:
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self.folder / "..data")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_a_server_of_an_own_authority_is_trusted_once_that_is_named(house: House) -> None:
    async with serving(says_ok, house.context()) as server:
        async with client_of(server.url, tls=Tls(house.ca_file)) as client:
            assert (await client.get("/")).content == b"ok"
        assert len(server.asked) == 1


STRANGERS: dict[str, tuple[Callable[[House], ssl.SSLContext], bool, str]] = {
    "an authority that nobody named": (lambda house: house.context(), False, "UnknownIssuer"),
    "another authority": (lambda house: House(house.folder).context(), True, "UnknownIssuer"),
    "another host's": (lambda house: house.context(names="elsewhere.test"), True, "not valid for name"),
    "one of the past": (lambda house: house.context(until=datetime(2020, 1, 1)), True, "expired"),  # noqa: DTZ001
}


@pytest.mark.parametrize(("context", "is_named", "words"), STRANGERS.values(), ids=STRANGERS)
async def test_a_bad_certificate_ends_it_before_anything_is_sent(
    tmp_path: Path, house: House, context: Callable[[House], ssl.SSLContext], is_named: bool, words: str
) -> None:
    (tmp_path / "mine").mkdir()
    mine = House(tmp_path / "mine")
    trusted = mine if words == "UnknownIssuer" else house
    tls = Tls(trusted.ca_file) if is_named else Tls()
    async with serving(says_ok, context(house)) as server, client_of(server.url, tls=tls) as client:
        with pytest.raises(CertificateRefused, match=words):
            await client.get("/", headers={"authorization": "Bearer of a viewer"})
        assert server.asked == []


async def test_a_server_that_asks_who_we_are_is_told(house: House) -> None:
    tls = house.own("proxy")
    async with serving(says_ok, house.context(asks=True)) as server, client_of(server.url, tls=tls) as client:
        assert (await client.get("/")).content == b"ok"
        assert server.asked[0].peer == "proxy"


@pytest.mark.parametrize("is_stranger", [False, True])
async def test_a_server_that_asks_who_we_are_and_is_not_told_answers_nothing(
    house: House, is_stranger: bool
) -> None:
    tls = house.own("proxy", trustme.CA()) if is_stranger else Tls(house.ca_file)
    async with serving(says_ok, house.context(asks=True)) as server, client_of(server.url, tls=tls) as client:
        with pytest.raises((CertificateRefused, httpx.RemoteProtocolError)):
            await client.get("/")
        assert server.asked == []


async def test_a_certificate_that_is_changed_is_taken_up_by_new_connections(house: House) -> None:
    tls = await asyncio.to_thread(house.own, "first")
    async with serving(says_ok, house.context(asks=True)) as server, client_of(server.url, tls=tls) as client:
        async with client.stream("GET", "/") as response:
            await asyncio.to_thread(house.own, "second")
            while server.asked[-1].peer != "second":
                await client.get("/")
                await asyncio.sleep(0.02)
            assert await response.aread() == b"ok"  # what was under way is not cut
        assert {asked.peer for asked in server.asked} == {"first", "second"}


def test_files_that_are_no_good_are_named_at_start(house: House) -> None:
    own = house.own("proxy")
    assert own.certificate_file is not None
    assert own.key_file is not None
    certificate, key, junk = own.certificate_file, own.key_file, house.folder / "junk"
    house.own("other")
    stranger = house.folder / "..proxy" / "tls.key"
    for content, tls, words in (
        (b"", Tls(ca_file=house.folder / "none"), "none: can't be read: No such file"),
        (b"", Tls(ca_file=house.folder), "not a file"),
        (b"", Tls(ca_file=junk), "junk: holds no certificate in PEM"),
        (b"words", Tls(ca_file=junk), "junk: holds no certificate in PEM"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            Tls(ca_file=junk),
            "junk: no cert",
        ),
        (b"x" * (1024 * 1024 + 1), Tls(ca_file=junk), "junk: larger than"),
        (b"", Tls(None, certificate, junk), f"{junk}: no certificates in PEM, or no key"),
        (b"", Tls(None, certificate, stranger), "no key without a password that fits its certificate"),
        (b"", Tls(None, junk, key), "no certificates in PEM"),
    ):
        junk.write_bytes(content)
        with pytest.raises(ConfigurationError, match=words):
            Transport(TransportLimits(), tls)


def test_a_system_without_authorities_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, os.devnull)
    with pytest.raises(ConfigurationError, match=r"^the certificate authorities.*install ca-certificates"):
        Transport(TransportLimits())


NGINX = shutil.which("nginx")
CONFIGURATION = """
daemon off; master_process off; pid {here}/pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {here}/1; proxy_temp_path {here}/2; fastcgi_temp_path {here}/3;
  uwsgi_temp_path {here}/4; scgi_temp_path {here}/5;
  server {{
    listen unix:{here}/ready;
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {here}/server.pem; ssl_certificate_key {here}/server.pem;
    root {here}/www;
    location /protocol {{ add_header X-Host $http_host; return 200 $server_protocol; }}
    location /behind/ {{ proxy_pass {behind}/; proxy_set_header X-Protocol $server_protocol; }}
  }}
}}
"""


@asynccontextmanager
async def nginx(house: House, behind: RawServer) -> AsyncIterator[str]:
    """The URL of an nginx that speaks HTTP/2 over TLS."""
    here = house.folder
    (here / "www").mkdir()
    (here / "www" / "large").write_bytes(os.urandom(8 * 1024 * 1024))
    house.ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(here / "server.pem")
    port = free_port()
    (here / "nginx.conf").write_text(CONFIGURATION.format(here=here, port=port, behind=behind.url))
    assert NGINX is not None
    process = await asyncio.create_subprocess_exec(NGINX, "-p", here, "-c", here / "nginx.conf")
    try:
        while not (here / "pid").exists():
            assert process.returncode is None
            await asyncio.sleep(0.01)
        yield f"https://localhost:{port}"
    finally:
        process.terminate()
        await process.wait()


needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (nginx-light)")


@needs_nginx
@pytest.mark.parametrize(("http2", "protocol"), [(True, "HTTP/2.0"), (False, "HTTP/1.1")])
async def test_http2_is_spoken_where_the_origin_speaks_it(house: House, http2: bool, protocol: str) -> None:
    tls = Tls(house.ca_file, http2=http2)
    async with serving(says_ok) as behind, nginx(house, behind) as url, client_of(url, tls=tls) as client:
        response = await client.get("/protocol", headers={"connection": "keep-alive", "te": "trailers"})
        assert (response.status_code, response.text) == (200, protocol)
        assert response.headers["x-host"] == url.removeprefix("https://")

        async def study() -> AsyncIterator[bytes]:
            yield b"one "
            yield b"study"

        assert (await client.post("/behind/studies", content=study())).content == b"ok"
        assert (behind.asked[0].headers["x-protocol"], behind.asked[0].body) == (protocol, b"one study")


@needs_nginx
async def test_answers_that_nobody_reads_do_not_hold_up_the_others(house: House) -> None:
    """Over HTTP/2 all share one connection: hyper's own windows are full with three of these."""
    tls = Tls(house.ca_file)
    async with serving(says_ok) as behind, nginx(house, behind) as url, client_of(url, tls=tls) as client:
        large = client.build_request("GET", "/large")
        unread = [await client.send(large, stream=True) for _ in range(12)]
        assert [response.status_code for response in unread] == [200] * 12
        assert len((await client.get("/large")).content) == 8 * 1024 * 1024
        for response in unread:
            await response.aclose()
