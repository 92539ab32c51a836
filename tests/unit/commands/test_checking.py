"""`check FILE`: opens what a configuration names, as `serve` does, and takes profiles as well."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from proxy.cli import main
from proxy.errors import ConfigurationError
from proxy.service.app import create_app
from proxy.service.objects import fault_of
from proxy.settings.model import load
from proxy.settings.objects import ObjectsSettings
from tests.ports import free_port
from tests.s3_server import Store, running_s3, settings_with
from tests.scripted_origin import running
from tests.token_server import TokenServer

KEYS = json.dumps({"keys": []})


def checked(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, list[str]]:
    code = main(["check", str(path), *options])
    out, err = capsys.readouterr()
    return code, out, [line.replace(f"{path.parent}/", "") for line in err.splitlines()]


def configured(folder: Path, text: str) -> Path:
    path = folder / "f.yaml"
    path.write_text(text.replace("DIR", str(folder)))
    return path


def origin(more: str) -> str:
    return f"origins:\n- url: https://pacs\n  {more}\n"


PLAIN = "origins: [{url: http://pacs}]\n"
TIERS = PLAIN + "access: {key_file: DIR/key}\ncache:\n"
NAMED = {
    "a token that is not there": (
        origin("credentials: {bearer_file: DIR/none}"),
        "3: origins.0.credentials.bearer_file: none: can't be read: No such file or directory",
    ),
    "an empty token": (
        origin("credentials: {bearer_file: DIR/empty}"),
        "3: origins.0.credentials.bearer_file: empty: empty",
    ),
    "a folder for a password": (
        origin("credentials:\n    user: a\n    password_file: DIR"),
        "5: origins.0.credentials.password_file: DIR: not a file",
    ),
    "a variable that is not set": (
        origin("credentials: {user: a, password_env: NO_SUCH_VARIABLE}"),
        "3: origins.0.credentials.password_env: environment variable NO_SUCH_VARIABLE: not set",
    ),
    "a password for an HTTP proxy that is not there": (
        origin("via:\n    {url: 'http://proxy.example:3128', user: a, password_file: DIR/none}"),
        "3: origins.0.via: none: can't be read: No such file or directory",
    ),
    "a client's secret that is not there": (
        origin(
            "credentials:\n    oauth2: {token_url: https://a, client_id: b, client_secret_file: DIR/none}"
        ),
        "4: origins.0.credentials.oauth2: none: can't be read: No such file or directory",
    ),
    "an authority that is none": (
        origin("tls:\n    ca_file: DIR/words"),
        "3: origins.0.tls: words: holds no certificate in PEM",
    ),
    "a key of another certificate": (
        origin("tls: {certificate_file: DIR/one.pem, key_file: DIR/other.key}"),
        "3: origins.0.tls: one.pem, other.key: no certificates in PEM, or no key without a password that "
        "fits its certificate",
    ),
    "a listener's certificate that is not there": (
        PLAIN + "listen:\n  tls: {certificate_file: DIR/none, key_file: DIR/other.key}\n",
        "3: listen.tls: none: can't be read: No such file or directory",
    ),
    "a listener's key that does not fit": (
        PLAIN + "listen:\n  tls: {certificate_file: DIR/one.pem, key_file: DIR/other.key}\n",
        "3: listen.tls: one.pem, other.key: no certificates in PEM, or no key without a password that fits "
        "its certificate",
    ),
    "a short admin token": (
        PLAIN + "admin: {token_file: DIR/words}\n",
        "2: admin.token_file: words: a token has at least 16 characters, printable ASCII without spaces",
    ),
    "a short key of callers": (
        PLAIN + "access: {key_file: DIR/words}\n",
        "2: access.key_file: words: has 5 bytes, and a key has at least 32, such as from `openssl rand`",
    ),
    "an authorizer's authority that is not there": (
        PLAIN + "access:\n  ca_file: DIR/none\n  forward_auth: https://auth\n",
        "3: access.ca_file: none: can't be read: No such file or directory",
    ),
    "an issuer without keys": (
        PLAIN + "access:\n  jwt: {issuer: a, audience: b, jwks_file: DIR/keys.json}\n",
        "3: access.jwt.jwks_file: keys.json: no public key for signatures",
    ),
    "a key of the disk that is too short": (
        TIERS + "  disk: {path: DIR/disk, encryption_key_file: DIR/words}\n",
        "4: cache.disk.encryption_key_file: words: has 5 bytes, and a key has at least 32, such as from "
        "`openssl rand`",
    ),
    "a password of a server that is not there": (
        TIERS + "  shared:\n    url: valkey://cache\n    password_file: DIR/none\n",
        "6: cache.shared.password_file: none: can't be read: No such file or directory",
    ),
    "a server whose primary has no name": (
        TIERS + "  shared:\n    url: valkey+sentinel://a,b\n",
        "5: cache.shared.url: Sentinel needs the name of a primary, and a cluster has no databases",
    ),
    "credentials of a bucket that are none": (
        TIERS + "  objects:\n    url: s3://frames\n    credentials_file: DIR/words\n",
        "6: cache.objects.credentials_file: needs aws_access_key_id and aws_secret_access_key in a section "
        "[default]",
    ),
    "credentials of a bucket without a secret": (
        TIERS + "  objects:\n    url: s3://frames\n    credentials_file: DIR/half\n",
        "6: cache.objects.credentials_file: needs aws_access_key_id and aws_secret_access_key in a section "
        "[default]",
    ),
    "an authority of a bucket that is not there": (
        TIERS + "  objects:\n    url: s3://frames\n    ca_file: DIR/none\n",
        "6: cache.objects.ca_file: none: can't be read: No such file or directory",
    ),
    "an authority of a bucket that is none": (
        TIERS + "  objects:\n    url: s3://frames\n    ca_file: DIR/words\n",
        "6: cache.objects.ca_file: words: no certificates in PEM",
    ),
    "an audit in a folder that is not there": (
        PLAIN + "audit:\n  file: DIR/none/audit\n",
        "3: audit.file: none/audit: can't be written",
    ),
    "an audit that is a folder": (
        PLAIN + "audit: {file: DIR}\n",
        "2: audit.file: DIR: can't be written",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "empty").touch()
    (tmp_path / "words").write_text("words")
    (tmp_path / "key").write_bytes(bytes(32))
    (tmp_path / "half").write_text("[default]\naws_access_key_id = a\n")
    (tmp_path / "keys.json").write_text(KEYS)
    authority = trustme.CA()
    one, other = (authority.issue_cert(f"{name}.example") for name in ("one", "other"))
    one.cert_chain_pems[0].write_to_path(tmp_path / "one.pem")
    one.private_key_pem.write_to_path(tmp_path / "one.key")
    other.private_key_pem.write_to_path(tmp_path / "other.key")
    return tmp_path


@pytest.mark.parametrize(("text", "said"), NAMED.values(), ids=NAMED)
def test_check_opens_what_the_configuration_names(
    text: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = configured(folder, text)
    code, out, lines = checked(path, capsys)
    assert (code, out) == (1, "")
    assert lines[:-1] == [f"f.yaml:{said}".replace("DIR", str(folder))]
    assert "--no-files" in lines[-1]
    code, out, _ = checked(path, capsys, "--no-files")
    assert (code, "is valid" in out) == (0, True)


@pytest.mark.parametrize("text", [text for text, said in NAMED.values() if "audit" not in said])
def test_serve_refuses_what_check_refuses(text: str, folder: Path) -> None:
    settings = load(configured(folder, text))
    with pytest.raises(ConfigurationError):
        create_app(settings)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, None),
        ({"token_type": "mac"}, "the token server sent a token that is no bearer token"),
        (None, "the token server answered 503"),
    ],
)
async def test_check_asks_the_token_server_for_a_token(
    told: dict[str, str] | None, words: str | None, tmp_path: Path
) -> None:
    def run(*options: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "proxy", "check", *options, str(path)]
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
        return found.returncode, found.stderr

    server = TokenServer(**(told or {}))
    server.is_down = told is None
    async with running(server):
        section = await asyncio.to_thread(server.settings, tmp_path)
        path = configured(tmp_path, origin(f"credentials: {json.dumps({'oauth2': section})}"))
        code, errors = await asyncio.to_thread(run)
        assert len(server.asked) == 1
        assert (await asyncio.to_thread(run, "--no-files"))[0] == 0
        assert len(server.asked) == 1
    assert code == (0 if words is None else 1)
    said = f"f.yaml:3: origins.0.credentials.oauth2: no token for the origin: {words}\n"
    assert (said in errors) == (words is not None)


def test_check_says_all_that_is_wrong_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = origin("credentials: {bearer_file: DIR/none}") + "admin: {token_file: DIR/none}\n"
    _, _, lines = checked(configured(folder, text), capsys)
    assert [line.partition(": ")[0] for line in lines] == ["f.yaml:3", "f.yaml:4", "--no-files leaves this out, for a file that is meant for another machine"]  # fmt: skip  # noqa: E501


def test_check_opens_good_files_and_leaves_none_behind(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD_OF_PACS", "x")
    (folder / "token").write_text("t" * 32)
    text = (
        "origins:\n"
        "- {name: a, url: 'https://a', credentials: {bearer_file: DIR/token}}\n"
        "- {name: b, url: 'https://b', credentials: {user: u, password_env: PASSWORD_OF_PACS}}\n"
        "- {name: c, url: 'https://c', tls: {certificate_file: DIR/one.pem, key_file: DIR/one.key}}\n"
        "listen: {tls: {certificate_file: DIR/one.pem, key_file: DIR/one.key}}\n"
        "admin: {token_file: DIR/token}\naccess: {key_file: DIR/token}\naudit: {file: DIR/audit}\n"
    )
    code, _, _ = checked(configured(folder, text), capsys)
    assert code == 0
    assert not (folder / "audit").exists()


def test_the_files_of_traces_are_opened(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "headers").write_text("Authorization: Bearer x\nsecret without a name\n")
    text = (
        "origins: [{url: 'http://a'}]\n"
        "traces:\n"
        "  endpoint: https://collector/v1/traces\n"
        "  headers_file: DIR/headers\n"
        "  ca_file: DIR/none.pem\n"
    )
    code, _, said = checked(configured(folder, text), capsys)
    assert code == 1
    assert said[:2] == [
        "f.yaml:4: traces.headers_file: headers: line 2 is no header, such as Authorization: Bearer TOKEN",
        "f.yaml:5: traces.ca_file: none.pem: can't be read",
    ]


def test_check_says_through_what_an_origin_is_reached(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "origins:\n"
        "- {name: a, url: 'https://a', via: 'http://proxy.example:3128'}\n"
        "- {name: b, url: 'https://b', via: environment}\n"
        "- {name: c, url: 'https://c', via: {url: 'https://other', user: u, password_file: DIR/words}}\n"
    )
    code, out, _ = checked(configured(folder, text), capsys)
    assert code == 0
    assert "a (https://a through http://proxy.example:3128)" in out
    assert "b (https://b through the HTTP proxy of the environment)" in out
    assert "c (https://c through https://other)" in out


@pytest.mark.parametrize(("path", "count"), [("studies", 1), ("studies/", 1), ("mystudies", 0)])
def test_check_warns_of_a_url_that_ends_in_studies(
    path: str, count: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"origins: [{{name: pacs, url: 'http://pacs/{path}'}}]\n"
    code, _, lines = checked(configured(folder, text), capsys)
    told = [line for line in lines if line.startswith("warning: origin pacs: its url has /studies")]
    assert (code, len(told)) == (0, count)


def test_check_says_through_what_each_other_server_is_reached(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    oauth2 = "{token_url: https://t/token, client_id: c, client_secret_file: s, via: environment}"
    text = (
        f"origins: [{{name: a, url: 'https://a', via: 'http://p:1', credentials: {{oauth2: {oauth2}}}}}]\n"
        "access: {via: 'http://p:2', forward_auth: http://z/auth, key_file: k}\n"
        "traces: {via: 'http://p:3', endpoint: http://c/v1/traces}\n"
        "cache: {objects: {via: 'http://p:4', url: s3://bucket}}\n"
    )
    code, out, _ = checked(configured(folder, text), capsys, "--no-files")
    assert code == 0
    assert [line for line in out.splitlines() if "connects" in line] == [
        "origins[a].credentials.oauth2 connects through the HTTP proxy of the environment",
        "access connects through http://p:2",
        "cache.objects connects through http://p:4",
        "traces connects through http://p:3",
    ]


@pytest.mark.parametrize(
    ("via", "words"),
    [
        ("http://me:s3cret@proxy.example", "a login goes into user and password_file"),
        ("proxy.example:3128", "must be http:// or https:// and a host"),
        ("{url: 'http://proxy.example', user: me}", "user and password_file must be set together"),
        ("{url: environment, user: me, password_file: DIR/words}", "stands in the variable"),
        ("{user: me, password_file: DIR/words}", "needs a url"),
    ],
)
def test_a_way_that_is_none_gets_a_sentence_without_a_secret(
    via: str, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, lines = checked(configured(folder, origin(f"via: {via}")), capsys)
    assert (code, out) == (1, "")
    assert words in lines[0]
    assert "s3cret" not in "".join(lines)


EXTRAS = {
    "aws": (
        "botocore",
        origin("credentials: {aws_region: us-east-1}"),
        "3: origins.0.credentials.aws_region: ",
    ),
    "shared": ("valkey", TIERS + "  shared: {url: 'valkey://a'}\n", "4: cache.shared: "),
    "objects": ("obstore", TIERS + "  objects: {url: 's3://frames'}\n", "4: cache.objects: "),
}


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_missing_extra_is_said_with_the_command_that_installs_it(extra: str, folder: Path) -> None:
    library, text, named = EXTRAS[extra]
    path, tmp_path = configured(folder, text), folder
    (tmp_path / f"{library}.py").write_text("raise ImportError")
    found = subprocess.run(
        [sys.executable, "-m", "proxy", "check", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
    )
    assert found.returncode == 1
    assert f"f.yaml:{named}" in found.stderr
    assert f"pip install 'progressive-proxy[{extra}]'" in found.stderr


def test_a_bucket_is_tried_out(folder: Path) -> None:
    with running_s3() as port:
        store, said = Store(port, "checked"), settings_with(folder, port, "checked")

        def fault(within: float = 240.0, **more: str) -> str | None:
            return fault_of(ObjectsSettings(**(said["cache"]["objects"] | more)), within)

        assert fault() is None
        assert store.paths() == []
        assert fault(url="s3://missing/frames") == "NoSuchBucket"
        assert fault(within=0.0) == "does not answer within 0 s"
    assert fault(endpoint=f"http://127.0.0.1:{free_port()}") == "no answer, or none of S3"


def test_check_warns_of_a_bucket(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The proxy serves without it."""
    settings = {"origins": [{"url": "http://pacs"}], **settings_with(folder, free_port(), "checked")}
    code, out, lines = checked(configured(folder, json.dumps(settings)), capsys)
    assert (code, "is valid" in out) == (0, True)
    (line,) = [line for line in lines if "cache.objects" in line]
    assert line.startswith("warning: cache.objects: s3://checked/frames: ")
    assert line.endswith("; the proxy serves without it")


@pytest.mark.parametrize(
    ("name", "text", "stages"),
    [
        ("p.yaml", "stages: [{id: a}, {id: b}]\n", "a, b"),
        ("p.yaml", "first: 64KiB\n", "initialImages"),
        ("viewer.json", '{"retrieveOptions": {"single": {"streaming": true}}}', "initialImages"),
    ],
)
def test_check_takes_a_profile(
    name: str, text: str, stages: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    assert main(["check", str(tmp_path / name)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / name} is a valid profile; stages: {stages}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stages: [{id: a, decimat: 2}]\n", "1: stages.0.decimat: unknown key; did you mean decimate?"),
        ("stages: []\n", "1: stages: a profile needs at least one stage"),
        ("stages: [{id: a}]\norigins: []\n", "2: origins: unknown key; the keys are "),
    ],
)
def test_check_says_what_is_wrong_in_a_profile(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, lines = checked(configured(tmp_path, text), capsys)
    assert code == 1
    assert lines[0].startswith(f"f.yaml:{said}")


def test_check_says_what_each_alternate_comes_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "alternates:\n  a: {path: /htj2k/}\n  b: {path: /jls/, codec: jpegls, made: never}\n"
        "  c: {path: /small/, codec: jpegls, near: 2, scale: '≤ 512', made: always}\n"
        "  d: {path: /quarter/, codec: jpeg, quality: 80, scale: 1/16 area}\n"
        "  e: {path: /lossy/, step: 0.01}\n"
    )
    _, out, _ = checked(configured(tmp_path, PLAIN + text), capsys)
    assert [line for line in out.splitlines() if line.startswith("alternate ")] == [
        "alternate /htj2k/: the origin's own, or if it has none, lossless HTJ2K in full size, "
        "made by the proxy",
        "alternate /jls/: the origin's own; the proxy makes none",
        "alternate /small/: JPEG-LS with errors up to 2, at most 512 pixels a side, made by the proxy even "
        "if the origin has its own",
        "alternate /quarter/: the origin's own, or if it has none, JPEG of quality 80, at 1/4 of the size, "
        "made by the proxy",
        "alternate /lossy/: the origin's own, or if it has none, lossy HTJ2K in full size, made by the proxy",
    ]


@pytest.mark.parametrize(("frames", "count"), [("htj2k-if-not", 1), ("origin", 0)])
def test_check_says_whose_frames_are_converted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], frames: str, count: int
) -> None:
    text = f"origins:\n  - {{name: pacs, url: 'http://pacs.example', frames: {frames}}}\n"
    _, out, _ = checked(configured(tmp_path, text), capsys)
    said = "origin pacs: frames that are not HTJ2K are made into lossless HTJ2K by the proxy"
    assert out.splitlines().count(said) == count


def test_a_missing_file_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, lines = checked(tmp_path / "none.yaml", capsys)
    assert (code, len(lines)) == (1, 1)
    assert lines[0].startswith("none.yaml: the file can't be read: ")
