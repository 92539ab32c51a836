"""Credentials of our own on real sockets: put on, changed beneath a running service, never told."""

import asyncio
import hmac
import logging
import sys
import threading
from base64 import b64decode
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from math import inf
from pathlib import Path
from urllib.parse import quote, unquote_plus

import pytest

from proxy.errors import ConfigurationError
from proxy.origin.credentials import OwnCredentials, aws, basic, basic_from_environment, bearer
from proxy.origin.rotation import Files, Rotating
from proxy.settings.model import Settings
from proxy.settings.reading import parse
from tests.raw_server import OK, Answer, Asked, client_of, says_ok, serving

pytestmark = pytest.mark.anyio

VIEWERS = {"authorization": "Bearer of-a-viewer", "cookie": "session=of-a-viewer", "accept": "image/jphc"}
STORY = 240
"""Seconds after which a request that hangs fails."""
REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"


class Mounted:
    """A secret as Kubernetes mounts it: a link to a file behind a link that is swapped."""

    def __init__(self, folder: Path, content: str) -> None:
        self._folder = folder
        self._versions = 0
        self.path = folder / "token"
        self.path.symlink_to(Path("..data", "token"))
        self._swap(content)

    async def swap(self, content: str | None) -> None:
        """Puts another version in place; None is one without the file."""
        await asyncio.to_thread(self._swap, content)

    def _swap(self, content: str | None) -> None:
        self._versions += 1
        version = self._folder / f"..{self._versions}"
        version.mkdir()
        if content is not None:
            (version / "token").write_text(content, "utf-8")
        link = self._folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self._folder / "..data")


async def unhurried(path: Path) -> OwnCredentials[str]:
    """The token in a file, which is looked at after a refusal only, however long a test takes."""
    auth = await asyncio.to_thread(bearer, path)
    assert isinstance(auth, OwnCredentials)
    assert isinstance(auth._secret, Rotating)
    auth._secret.look_every = inf
    return auth


def takes(*tokens: str) -> Answer:
    """A server that lets in only who has one of these tokens."""

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(OK if asked.headers.get("authorization") in {f"Bearer {t}" for t in tokens} else REFUSED)

    return answer


async def test_ours_stand_in_for_the_viewers(tmp_path: Path) -> None:
    auth = await asyncio.to_thread(bearer, Mounted(tmp_path, "one.token\n").path)
    async with serving(says_ok) as server, client_of(server.url, auth=auth) as client:
        await client.get("/", headers=VIEWERS)
        await client.get("/")
    for asked in server.asked:
        assert asked.headers["authorization"] == "Bearer one.token"
        assert "cookie" not in asked.headers
    assert server.asked[0].headers["accept"] == "image/jphc"


async def test_a_file_that_is_swapped_is_read_again(tmp_path: Path) -> None:
    mounted = Mounted(tmp_path, "one")
    auth = await asyncio.to_thread(bearer, mounted.path)
    async with serving(says_ok) as server, client_of(server.url, auth=auth) as client:
        await client.get("/")
        await mounted.swap("two")
        while server.asked[-1].headers["authorization"] == "Bearer one":
            await client.get("/")
            await asyncio.sleep(0.02)
    assert server.asked[-1].headers["authorization"] == "Bearer two"


async def test_without_a_file_nobody_waits_for_a_look() -> None:
    value = Rotating(Files((), lambda contents: len(contents)), look_every=0.0)
    busy, ended = ThreadPoolExecutor(1), threading.Event()
    asyncio.get_running_loop().set_default_executor(busy)
    busy.submit(ended.wait)
    try:  # no thread is free, and none is needed
        async with asyncio.timeout(STORY):
            assert (await value.current(), value.known()) == (0, 0)
    finally:
        ended.set()


async def test_a_refusal_has_the_file_read_at_once(tmp_path: Path) -> None:
    mounted = Mounted(tmp_path, "one")
    auth = await unhurried(mounted.path)
    async with serving(takes("two")) as server, client_of(server.url, auth=auth) as client:
        await mounted.swap("two")
        assert (await client.get("/", headers=VIEWERS)).status_code == 200
        assert [a.headers["authorization"] for a in server.asked] == ["Bearer one", "Bearer two"]
        assert "cookie" not in server.asked[1].headers


async def test_many_refusals_at_once_are_all_cured(tmp_path: Path) -> None:
    mounted = Mounted(tmp_path, "one")
    auth = await asyncio.to_thread(bearer, mounted.path)
    async with serving(takes("two")) as server, client_of(server.url, auth=auth) as client:
        await mounted.swap("two")
        answers = await asyncio.gather(*(client.get("/") for _ in range(20)))
        assert [answer.status_code for answer in answers] == [200] * 20


@pytest.mark.parametrize(("after", "count"), [("one", 1), ("two", 2)])
async def test_who_is_refused_for_good_hears_so(tmp_path: Path, after: str, count: int) -> None:
    mounted = Mounted(tmp_path, "one")
    auth = await unhurried(mounted.path)
    async with serving(takes("another")) as server, client_of(server.url, auth=auth) as client:
        await mounted.swap(after)
        answer = await client.get("/")
        assert (answer.status_code, answer.content) == (401, b"no")
        assert len(server.asked) == count


async def test_a_refusal_without_end_is_not_read(tmp_path: Path) -> None:
    mounted = Mounted(tmp_path, "one")
    auth = await asyncio.to_thread(bearer, mounted.path)

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.headers["authorization"] == "Bearer two":
            writer.write(OK)
            return
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 1000000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with serving(answer) as server, client_of(server.url, auth=auth) as client:
        await mounted.swap("two")
        assert (await client.get("/")).content == b"ok"


async def test_a_refused_upload_is_not_sent_again(tmp_path: Path) -> None:
    mounted = Mounted(tmp_path, "one")
    auth = await unhurried(mounted.path)

    async def study() -> AsyncIterator[bytes]:
        yield b"one study"

    async with serving(takes("two")) as server, client_of(server.url, auth=auth) as client:
        await mounted.swap("two")
        assert (await client.post("/studies", content=study())).status_code == 401
        assert [asked.body for asked in server.asked] == [b"one study"]


BAD_LATER = {
    "gone": None,
    "empty": "",
    "of two lines": "one-secret\ntwo-secret\n",
    "of two words": "one secret",
}


@pytest.mark.parametrize("content", BAD_LATER.values(), ids=BAD_LATER)
async def test_a_file_that_turns_bad_leaves_the_last_good_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    caplog.set_level(logging.INFO, "proxy")
    mounted = Mounted(tmp_path, "first-secret")
    auth = await asyncio.to_thread(bearer, mounted.path)
    async with serving(takes("third-secret")) as server, client_of(server.url, auth=auth) as client:
        await mounted.swap(content)
        for _ in range(3):
            assert (await client.get("/")).status_code == 401
        assert {a.headers["authorization"] for a in server.asked} == {"Bearer first-secret"}
        (said,) = caplog.records
        assert (said.levelname, str(mounted.path) in vars(said)["why"]) == ("WARNING", True)
        await mounted.swap("third-secret")
        assert (await client.get("/")).status_code == 200
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "secret" not in "".join(
        str(vars(record)).replace(str(mounted.path), "") for record in caplog.records
    )


BAD_AT_START = {
    "none": (None, "can't be read: No such file or directory"),
    "empty": (b"", "empty"),
    "a line end alone": (b"\n", "empty"),
    "two lines": (b"so-secret\nso-secret\n", "more than one line"),
    "a blank line after it": (b"so-secret\n\n", "more than one line"),
    "with its scheme": (b"Bearer so-secret", "a token is printable ASCII without spaces"),
    "not ASCII": ("so-secret-ü".encode(), "a token is printable ASCII without spaces"),
    "not text": (b"so-secret\xff", "not UTF-8"),
    "far too long": (b"so-secret" * 200_000, "larger than 1048576 bytes"),
}


@pytest.mark.parametrize(("content", "words"), BAD_AT_START.values(), ids=BAD_AT_START)
def test_a_bad_file_ends_the_start(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        bearer(path)
    assert str(caught.value) == f"{path}: {words}"


def test_a_folder_or_a_pipe_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a file"):
        bearer(tmp_path)


async def test_basic_has_a_user_and_the_password_of_a_file(tmp_path: Path) -> None:
    mounted = Mounted(tmp_path, " pässword: with spaces \r\n")
    auth = await asyncio.to_thread(basic, "proxy", mounted.path)
    async with serving(says_ok) as server, client_of(server.url, auth=auth) as client:
        await client.get("/", headers=VIEWERS)
    scheme, pair = server.asked[0].headers["authorization"].split(" ")
    assert (scheme, b64decode(pair).decode()) == ("Basic", "proxy: pässword: with spaces ")


async def test_basic_has_the_password_of_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_PASSWORD", "hidden")
    auth = basic_from_environment("proxy", "PACS_PASSWORD")
    async with serving(says_ok) as server, client_of(server.url, auth=auth) as client:
        await client.get("/")
    assert b64decode(server.asked[0].headers["authorization"].removeprefix("Basic ")) == b"proxy:hidden"


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "not set"), ("", "empty"), ("a\nb", "more than one line"), ("a\tb", "control")],
)
def test_a_bad_variable_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, value: str | None, words: str
) -> None:
    monkeypatch.delenv("PACS_PASSWORD", raising=False)
    if value is not None:
        monkeypatch.setenv("PACS_PASSWORD", value)
    with pytest.raises(ConfigurationError, match=f"environment variable PACS_PASSWORD: .*{words}"):
        basic_from_environment("proxy", "PACS_PASSWORD")


KEY, SECRET, TOKEN = "AKIDEXAMPLE", "so-secret-a-key", "so-secret-a-token"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore")
    for name in ("AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


def signature_of(asked: Asked, payload: str) -> str:
    """The signature that AWS would work out from what came over the wire (Signature Version 4)."""
    fields = dict(
        part.strip().split("=", 1)
        for part in asked.headers["authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(",")
    )
    path, _, query = asked.target.partition("?")
    pairs = sorted(
        tuple(quote(unquote_plus(half), safe="-_.~") for half in pair.partition("=")[::2])
        for pair in query.split("&")
        if pair
    )
    names = fields["SignedHeaders"].split(";")
    canonical = "\n".join(
        [
            asked.method,
            quote(path, safe="/-_.~"),
            "&".join("=".join(pair) for pair in pairs),
            *(f"{name}:{asked.headers[name]}" for name in names),
            "",
            fields["SignedHeaders"],
            payload,
        ]
    )
    _, day, region, service, end = fields["Credential"].split("/")
    scope = f"{day}/{region}/{service}/{end}"
    digest = sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{asked.headers['x-amz-date']}\n{scope}\n{digest}"
    key = f"AWS4{SECRET}".encode()
    for part in (day, region, service, end, text):
        key = hmac.digest(key, part.encode(), sha256)
    assert fields["Credential"] == f"{KEY}/{day}/eu-central-1/medical-imaging/aws4_request"
    assert {"host", "x-amz-date", "x-amz-security-token"} <= set(names)
    assert fields["Signature"] == key.hex()
    return fields["Signature"]


TARGETS = [
    "/datastore/d/studies/1.2/series/1.3/instances/1.4/frames/1",
    "/datastore/d/studies/1.2/series/1.3/instances/1.4/frames/1,2?imageSetId=0a",
    "/datastore/d/studies?PatientName=M%C3%BCller^*+A&includefield=00080018,00080016&limit=1&StudyDate=",
    "/datastore/a%20b/~c/studies",
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.usefixtures("keys")
async def test_a_signature_is_the_one_that_aws_works_out(
    target: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    auth = await asyncio.to_thread(aws, "eu-central-1", "medical-imaging")
    async with serving(says_ok) as server, client_of(server.url, auth=auth) as client:
        await client.get(target, headers=VIEWERS | {"x-amz-acl": "a viewer's", "range": "bytes=0-9"})
    (asked,) = server.asked
    assert signature_of(asked, sha256(b"").hexdigest())
    assert (asked.headers["x-amz-security-token"], asked.headers["range"]) == (TOKEN, "bytes=0-9")
    assert {"cookie", "x-amz-acl"} & set(asked.headers) == set()
    assert "so-secret" not in "".join(str(vars(record)) for record in caplog.records)


@pytest.mark.usefixtures("keys")
async def test_an_upload_is_signed_without_its_body() -> None:
    auth = await asyncio.to_thread(aws, "eu-central-1", "medical-imaging")

    async def study() -> AsyncIterator[bytes]:
        yield b"one study"

    async with serving(says_ok) as server, client_of(server.url, auth=auth) as client:
        await client.post("/studies", content=study(), headers={"content-type": "application/dicom"})
        await client.post("/studies", content=b"one study")
    stream, whole = server.asked
    assert stream.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert "content-type" in stream.headers["authorization"]
    assert signature_of(stream, "UNSIGNED-PAYLOAD")
    assert signature_of(whole, sha256(b"one study").hexdigest())


@pytest.mark.usefixtures("keys")
def test_no_keys_end_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ConfigurationError, match=r"^AWS credentials: no provider has any$"):
        aws("eu-central-1", "medical-imaging")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigurationError, match=r"^AWS credentials: PartialCredentialsError$"):
        aws("eu-central-1", "medical-imaging")


def test_without_botocore_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'progressive-proxy\[aws\]'"):
        aws("eu-central-1", "medical-imaging")


@pytest.mark.usefixtures("keys")
def test_no_secret_is_in_a_repr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    path.write_text("so-secret")
    monkeypatch.setenv("PACS_PASSWORD", "so-secret")
    for auth in (
        bearer(path),
        basic("u", path),
        basic_from_environment("u", "PACS_PASSWORD"),
        aws("eu-central-1", "medical-imaging"),
    ):
        seen, todo = [], [auth]
        for value in todo:
            seen.append(repr(value))
            if type(value).__module__.startswith("proxy."):
                todo += getattr(value, "__dict__", {}).values()
        assert len(seen) > 2
        assert "so-secret" not in "".join(seen)


ORIGIN = "origins:\n- url: {}://pacs\n"
WRONG = {
    "two kinds": (
        "https",
        "credentials: {bearer_file: a, user: b, password_file: c}",
        "origins.0.credentials: set only one of bearer_file, user, aws_region and oauth2",
    ),
    "a user alone": (
        "https",
        "credentials: {user: b}",
        "origins.0.credentials: user needs either password_file or password_env",
    ),
    "two passwords": (
        "https",
        "credentials: {user: b, password_file: c, password_env: D}",
        "origins.0.credentials: user needs either password_file or password_env",
    ),
    "a password alone": (
        "https",
        "credentials: {password_env: D}",
        "origins.0.credentials: user needs either password_file or password_env",
    ),
    "a password in the open": (
        "https",
        "credentials: {user: b, password: so-secret}",
        "origins.0.credentials.password: unknown key; did you mean password_env? The keys are bearer_file,"
        " user, password_file,"
        " password_env, aws_region, aws_service, oauth2",
    ),
    "half of a certificate": (
        "https",
        "tls: {certificate_file: a}",
        "origins.0.tls: certificate_file: certificate_file and key_file must be set together",
    ),
    "a certificate without TLS": (
        "http",
        "tls: {certificate_file: a, key_file: b}",
        "origins.0: tls: only an origin with an https url can have tls settings",
    ),
}


@pytest.mark.parametrize(("scheme", "line", "words"), WRONG.values(), ids=WRONG)
def test_settings_that_contradict_themselves_are_refused(scheme: str, line: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(f"{ORIGIN.format(scheme)}  {line}\n", "f.yaml", Settings)
    faults = str(caught.value).splitlines()
    assert words in [fault.partition(" ")[2] for fault in faults]
    assert "so-secret" not in str(caught.value)
