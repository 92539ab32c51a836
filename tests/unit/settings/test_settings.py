import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from proxy.access.caller import Forward
from proxy.errors import ConfigurationError
from proxy.plan.names import STOCK
from proxy.plan.stages import FetchPart, parts_of_frame
from proxy.settings.access import AccessSettings
from proxy.settings.listening import split_address
from proxy.settings.model import Settings, load
from proxy.settings.reading import MAX_BYTES, MAX_NODES, parse
from tests.unit.plan.test_profile import OPTION_KEYS, PROFILE_KEYS, STAGE_KEYS

ORIGIN_KEYS = (
    "name, url, default, profile, labels, frames, rendered, trust, forwarded, rewrite, timeouts, limits, "
    "tls, via, credentials, forward"
)
CACHE_KEYS = (
    "bytes, first_share, ttl, stale, study_ttl, study_stale, search_ttl, study_bytes, instances, disk, "
    "shared, objects"
)
SETTINGS_KEYS = (
    "listen, admin, bounds, ready, origins, access, cors, profiles, profile, choose, alternates, workers, "
    "cache, log, audit, traces, warm"
)
ORIGIN = "origins: [{url: http://pacs/dicom-web}]\n"
KIB, MIB, GIB = 1024, 1024**2, 1024**3

VIEWERS_JSON = """{
  "stages": [
    {"id": "lossySequential", "retrieveType": "singleFast", "positions": [0.5, 0, -1]},
    {"id": "finalSequential", "retrieveType": "singleFinal", "requestType": "thumbnail", "priority": 7}
  ],
  "retrieveOptions": {
    "singleFast": {"rangeIndex": 0, "decodeLevel": 3, "chunkSize": 32000},
    "singleFinal": {"rangeIndex": -1}
  }
}"""


def read(text: str) -> Settings:
    return parse(text, "f.yaml", Settings)


def faults(text: str) -> list[str]:
    """The faults of a text, one line each."""
    with pytest.raises(ConfigurationError) as refused:
        read(text)
    return str(refused.value).splitlines()


def test_an_origins_url_is_enough() -> None:
    settings = read(ORIGIN)
    assert [origin.url for origin in settings.origins] == ["http://pacs/dicom-web"]
    assert settings.default_origin is settings.origins[0]
    assert (settings.listen.viewers, settings.listen.admin) == ("127.0.0.1:8080", "127.0.0.1:8081")
    assert (settings.profile, settings.cache.bytes) == ("sequential", "auto")
    assert settings.access == AccessSettings(policy="ask-origin", ttl=60.0, cookies=None)
    assert sorted(settings.all_profiles()) == sorted(STOCK)


def test_a_file_is_read_as_its_text(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(ORIGIN + "cache:\n  bytes: 2GiB\n", "utf-8")
    assert load(path) == read(ORIGIN + "cache: {bytes: 2147483648}")


def test_nothing_can_be_changed_after_reading() -> None:
    settings: Any = read(ORIGIN)
    for holder, name in (
        (settings, "profile"),
        (settings.cache, "bytes"),
        (settings.origins[0], "url"),
        (settings.listen, "viewers"),
        (settings.origins[0].limits, "in_flight"),
    ):
        with pytest.raises(ValidationError):
            setattr(holder, name, getattr(holder, name))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", MIB),
        ("'1048576'", MIB),
        ("1048576B", MIB),
        ("2048KiB", 2 * MIB),
        ("2048 KiB", 2 * MIB),
        ("3MiB", 3 * MIB),
        ("2GiB", 2 * GIB),
        ("2000kB", 2_000_000),
        ("2MB", 2_000_000),
        ("1GB", 1_000_000_000),
        ("0002MiB", 2 * MIB),
    ],
)
def test_sizes_are_written_with_a_unit_or_without(text: str, size: int) -> None:
    assert read(f"{ORIGIN}cache: {{bytes: {text}}}").cache.bytes == size


def test_64_kib_is_a_size() -> None:
    profiles = read(ORIGIN + "profiles: {mine: {first: 64KiB}}").profiles
    assert profiles["mine"].first == 64 * KIB


@pytest.mark.parametrize(
    "text",
    [
        "12 elephants",
        "64Kib",
        "64kib",
        "1.5GiB",
        "1e9",
        "GiB",
        "''",
        "-1MiB",
        "+1MiB",
        "1_000MiB",
        "1 2MiB",
        "\u0661\u0662MiB",
        "\u00b2MiB",
    ],
)
def test_other_sizes_are_refused_with_an_example(text: str) -> None:
    assert faults(f"{ORIGIN}cache:\n  bytes: {text}") == [
        "f.yaml:3: cache.bytes: must be a number of bytes, such as 65536, 64KiB or 2GiB"
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("'90'", 90),
        ("1.5", 1.5),
        ("500ms", 0.5),
        ("30s", 30),
        ("30 s", 30),
        ("5m", 300),
        ("5min", 300),
        ("12h", 43_200),
        ("0.5h", 1800),
        ("7d", 604_800),
        ("1h30m", 5400),
        ("1h 30m", 5400),
    ],
)
def test_durations_are_written_with_a_unit_or_without(text: str, seconds: float) -> None:
    assert read(f"{ORIGIN}cache: {{ttl: {text}}}").cache.ttl == seconds


@pytest.mark.parametrize(
    "text", ["12 hours", "12H", "h", "''", "-1h", "1e3s", "1h30", "1_0s", "\u0661s", "[1]", "true", "5mx"]
)
def test_other_durations_are_refused_with_an_example(text: str) -> None:
    assert faults(f"{ORIGIN}cache:\n  ttl: {text}\n") == [
        "f.yaml:3: cache.ttl: must be seconds, or a duration with units: 500ms, 30s, 5m, 12h, 7d, 1h30m"
    ]


def test_a_duration_of_whole_seconds_has_no_parts_of_one() -> None:
    assert read(f"{ORIGIN}cors: {{max_age: 10m}}").cors.max_age == 600
    [fault] = faults(f"{ORIGIN}cors:\n  max_age: 1500ms\n")
    assert fault.startswith("f.yaml:3: cors.max_age: ")


@pytest.mark.parametrize(("text", "host", "port"), [("0.0.0.0:80", "0.0.0.0", 80), ("'[::1]:0'", "::1", 0)])
def test_addresses_are_host_and_port(text: str, host: str, port: int) -> None:
    viewers = read(f"{ORIGIN}listen: {{viewers: {text}}}").listen.viewers
    assert split_address(viewers) == (host, port)


WRONG: dict[str, tuple[str, list[str]]] = {
    "an empty file": ("", ["f.yaml:1: origins: is missing"]),
    "comments alone": ("# nothing\n", ["f.yaml:1: origins: is missing"]),
    "a list at the top": ("- url: http://a\n", ["f.yaml:1: the file must be a mapping of settings"]),
    "a text": ("just words", ["f.yaml:1: the file must be a mapping of settings"]),
    "keys that are no words": ("1: 2\n" + ORIGIN, ["f.yaml:1: the file must be a mapping of settings"]),
    "an unknown key": (
        ORIGIN + "cahce: {}\n",
        [f"f.yaml:2: cahce: unknown key; did you mean cache? The keys are {SETTINGS_KEYS}"],
    ),
    "an unknown key one level down": (
        ORIGIN + "cache:\n  ttl: 1\n  size: 2\n",
        [f"f.yaml:4: cache.size: unknown key; the keys are {CACHE_KEYS}"],
    ),
    "an unknown key in an origin": (
        "origins:\n- url: http://a\n- name: b\n  url: http://b\n  token: x\n",
        [f"f.yaml:5: origins.1.token: unknown key; the keys are {ORIGIN_KEYS}"],
    ),
    "unknown keys below an origin": (
        "origins:\n- url: http://a\n  limits:\n    inflight: 2\n  timeouts: {total: 2}\n",
        [
            "f.yaml:5: origins.0.timeouts.total: unknown key; "
            "the keys are connect, first_byte, stall, least_rate",
            "f.yaml:4: origins.0.limits.inflight: unknown key; "
            "did you mean in_flight? The keys are "
            "in_flight, per_second, forwarded, frame_bytes, metadata_bytes",
        ],
    ),
    "an unknown key in a profile": (
        ORIGIN + "profiles:\n  mine:\n    stage: []\n",
        [f"f.yaml:4: profiles.mine.stage: unknown key; did you mean stages? The keys are {PROFILE_KEYS}"],
    ),
    "our own spelling of a viewer's key": (
        ORIGIN + "profiles:\n  mine:\n    retrieve_options: {}\n",
        [
            "f.yaml:4: profiles.mine.retrieve_options: unknown key; did you mean retrieveOptions? "
            f"The keys are {PROFILE_KEYS}"
        ],
    ),
    "an unknown key in a stage": (
        ORIGIN + "profiles:\n  mine:\n    stages:\n    - id: a\n    - id: b\n      decimat: 2\n",
        [
            "f.yaml:7: profiles.mine.stages.1.decimat: unknown key; did you mean decimate? "
            f"The keys are {STAGE_KEYS}"
        ],
    ),
    "an unknown key in options": (
        ORIGIN + "profiles: {mine: {retrieveOptions: {fast: {\nrangeIdx: 1}}}}\n",
        [
            "f.yaml:3: profiles.mine.retrieveOptions.fast.rangeIdx: unknown key; did you mean rangeIndex? "
            f"The keys are {OPTION_KEYS}"
        ],
    ),
    "an origin without a url": ("origins:\n- name: a\n", ["f.yaml:2: origins.0.url: is missing"]),
    "no origin": (
        "origins: []\n",
        ["f.yaml:1: origins: must list at least 1"],
    ),
    "a mapping for a list": (
        "origins: {url: http://a}",
        ["f.yaml:1: origins: must be a list: one item a line after `- `, or [a, b]"],
    ),
    "a word for a number": (
        ORIGIN + "cache:\n  ttl: long\n",
        ["f.yaml:3: cache.ttl: must be seconds, or a duration with units: 500ms, 30s, 5m, 12h, 7d, 1h30m"],
    ),
    "a number for a word": (
        ORIGIN + "profile: 7",
        ["f.yaml:2: profile: must be a text; put it in quotes if it looks like a number or a date"],
    ),
    "a word of another list": (
        ORIGIN + "log:\n  level: loud\n",
        ["f.yaml:3: log.level: must be 'debug', 'info', 'warning' or 'error'"],
    ),
    "a policy that is none": (
        ORIGIN + "access: everybody",
        ["f.yaml:2: access.policy: must be 'ask-origin', 'credential' or 'shared'"],
    ),
    "a number that is too small": (
        ORIGIN + "cache:\n  bytes: 64KiB\n",
        ["f.yaml:3: cache.bytes: must be at least 1MiB"],
    ),
    "no number": (
        ORIGIN + "cache:\n  ttl: .nan\n  first_share: .nan\n",
        [
            "f.yaml:4: cache.first_share: must be at most 1",
            "f.yaml:3: cache.ttl: must be more than 0",
        ],
    ),
    "an address without a port": (
        ORIGIN + "listen:\n  viewers: localhost\n",
        ["f.yaml:3: listen.viewers: must be host:port, such as 127.0.0.1:8080"],
    ),
    "an address without a host": (
        ORIGIN + "listen:\n  admin: ':80'\n",
        ["f.yaml:3: listen.admin: must be host:port, such as 127.0.0.1:8080"],
    ),
    "a port that is none": (
        ORIGIN + "listen:\n  admin: a:65536\n",
        ["f.yaml:3: listen.admin: must be host:port, such as 127.0.0.1:8080"],
    ),
    "a key twice": (
        ORIGIN + "access: shared\n" + ORIGIN,
        [f"f.yaml:{n}: origins: the key occurs more than once" for n in (1, 3)],
    ),
    "a key twice, further down": (
        ORIGIN + "cache:\n  ttl: 1\n  ttl: 2\n",
        [f"f.yaml:{n}: ttl: the key occurs more than once" for n in (3, 4)],
    ),
    "an open bracket": (
        "origins: [\n",
        ["f.yaml:2: not YAML: expected the node content, but found '<stream end>'"],
    ),
    "a tab": ("origins:\n\t- a", ["f.yaml:2: not YAML: found character '\\t' that cannot start any token"]),
    "two documents": (ORIGIN + "---\na: 1", ["f.yaml:2: not YAML: but found another document"]),
    "an alias of nothing": ("origins: *nobody", ["f.yaml:1: not YAML: found undefined alias 'nobody'"]),
    "a key that is a list": (ORIGIN + "? [a]\n: 2\n", ["f.yaml:2: not YAML: found unhashable key"]),
    "a value that holds itself": ("a: &a [*a]", ["f.yaml:1: not YAML: a value contains itself"]),
    "a mapping that holds itself": ("a: &a {b: *a}", ["f.yaml:1: not YAML: a value contains itself"]),
    "two faults": (
        ORIGIN + "access: nobody\nlog: {uids: perhaps}\n",
        [
            "f.yaml:2: access.policy: must be 'ask-origin', 'credential' or 'shared'",
            "f.yaml:3: log.uids: must be true or false",
        ],
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_refused_with_line_key_and_what_is_right(text: str, said: list[str]) -> None:
    assert faults(text) == said


def test_an_object_of_python_is_not_made() -> None:
    [fault] = faults(ORIGIN + "profile: !!python/object/apply:os.getcwd []\n")
    assert fault.startswith("f.yaml:2: not YAML: could not determine a constructor")


def test_aliases_are_not_expanded_without_end() -> None:
    names = "abcdefghij"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in pairwise(names)]
    assert faults("\n".join(lines)) == [f"f.yaml:1: the aliases expand to more than {MAX_NODES} values"]


def test_aliases_and_merged_keys_may_be_used() -> None:
    text = "origins:\n- &one {url: http://a, name: a, limits: {in_flight: 4}}\n- {<<: *one, name: b}\n"
    assert [(o.name, o.limits.in_flight) for o in read(text).origins] == [("a", 4), ("b", 4)]


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "nosuch.yaml", tmp_path):
        with pytest.raises(ConfigurationError, match=f"^{path}: the file can't be read: "):
            load(path)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.jphc"
    for body in (b"\xff\x4f\xff\x51\x00", b"origins: \xff"):
        path.write_bytes(body)
        with pytest.raises(ConfigurationError, match=f"^{path}: the file can't be read: "):
            load(path)
    path.write_bytes(b"a: \0\n")
    with pytest.raises(ConfigurationError, match=f"^{path}:1: not YAML: "):
        load(path)


def test_a_file_of_two_megabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(ORIGIN + "#" * (2 * MIB), "utf-8")
    with pytest.raises(ConfigurationError, match=f"^{path}: the file is larger than {MAX_BYTES} bytes$"):
        load(path)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:password@pacs",
        "http://user@pacs/dicom-web",
        "http://pacs/dicom-web?token=x",
        "http://pacs/dicom-web#x",
        "http://pacs/a b",
        "http://",
        "http:///dicom-web",
        "ftp://pacs",
        "file:///etc/passwd",
        "pacs:8042",
        "HTTP://pacs",
    ],
)
def test_a_url_is_http_a_host_and_a_path_and_nothing_more(url: str) -> None:
    [fault] = faults(f"origins:\n- url: '{url}'\n")
    assert fault.startswith(
        "f.yaml:2: origins.0.url: must be http:// or https://, a host and a path, such as "
    )
    assert url == "http://" or url not in fault
    assert "password" not in fault


@pytest.mark.parametrize(
    "url", ["http://a", "https://a:8042/", "http://[::1]:80/x", "https://a.b/c/d@e;f=%20"]
)
def test_good_urls(url: str) -> None:
    assert read(f"origins: [{{url: '{url}'}}]").origins[0].url == url


@pytest.mark.parametrize("name", ["studies", "series", "instances", "bulkdata", "workitems"])
def test_a_name_that_dicomweb_uses_is_refused(name: str) -> None:
    [fault] = faults(f"origins: [{{name: {name}, url: http://a}}]")
    names = "studies, series, instances, bulkdata, workitems"
    assert fault == f"f.yaml:1: origins: an origin must not have one of these names: {names}"


@pytest.mark.parametrize("name", ["A", "-a", "a_b", "a/b", "a.b", "''", "a" * 64, "\u00e9"])
def test_a_name_is_a_segment_of_a_path(name: str) -> None:
    [fault] = faults(f"origins: [{{name: {name}, url: http://a}}]")
    assert fault.startswith("f.yaml:1: origins.0.name: ")


def test_origins_that_contradict_one_another_are_refused() -> None:
    a, b = "{name: a, url: http://a, default: true}", "{name: b, url: http://b, default: true}"
    assert faults(f"origins: [{a}, {b}]") == ["f.yaml:1: origins: only one origin can be the default"]
    assert faults(f"origins: [{a}, {a}]") == ["f.yaml:1: origins: each origin needs a different name"]
    assert faults("origins: [{url: http://a}, {url: http://b}]") == [
        "f.yaml:1: origins: each origin needs a different name"
    ]


def test_of_several_origins_the_one_that_says_so_is_the_default() -> None:
    a, b = "{name: a, url: http://a}", "{name: b, url: http://b, default: true}"
    default = read(f"origins: [{a}, {b}]").default_origin
    assert default is not None
    assert default.name == "b"
    assert read(f"origins: [{a}, {a.replace('a,', 'c,')}]").default_origin is None


def test_a_profile_that_is_nowhere_is_refused() -> None:
    right = f"stock ones are {', '.join(STOCK)}"
    assert faults("profile: nosuch\n" + ORIGIN) == [
        f"f.yaml:1: profile: there is no profile 'nosuch'; {right}"
    ]
    [fault] = faults("origins: [{url: http://a, profile: nosuch}]\n")
    assert fault.endswith(f"origins: there is no profile 'nosuch'; {right}")


def test_a_profile_that_is_nowhere_is_refused_with_its_line() -> None:
    assert faults(ORIGIN + "profile: nosuch\n")[0].startswith("f.yaml:2: profile: ")


def test_a_viewers_json_is_a_profile_as_it_is() -> None:
    assert json.loads(VIEWERS_JSON)
    settings = read(f"{ORIGIN}profile: viewer\nprofiles:\n  viewer: {VIEWERS_JSON}\n")
    viewer = settings.all_profiles()["viewer"]
    assert parts_of_frame(viewer) == (FetchPart(0, 32000), FetchPart(32000, None))
    assert [stage.request_type for stage in viewer.stages] == ["interaction", "thumbnail"]


def test_a_whole_file_may_be_json() -> None:
    assert read(json.dumps({"origins": [{"url": "http://a"}], "access": "shared"})).access.policy == "shared"


def test_a_configured_profile_goes_before_a_stock_one() -> None:
    settings = read(ORIGIN + "profiles: {sequential: {first: 128KiB}}")
    assert settings.all_profiles()["sequential"].first == 128 * KIB
    assert settings.all_profiles()["single"].first is None


def test_the_environment_goes_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "CACHE__BYTES": "2GiB",
        "ACCESS": "shared",
        "LOG__LEVEL": "debug",
        "LISTEN__GRACE": "3",
        "LISTEN__VIEWERS": "0.0.0.0:9000",
        "ORIGINS": '[{"url": "http://b"}]',
        "PROFILES": '{"mine": {"first": "128KiB"}}',
        "PROFILE": "mine",
    }.items():
        monkeypatch.setenv(f"PROGRESSIVE_PROXY_{name}", value)
    settings = read(ORIGIN + "access: credential\ncache: {bytes: 1GiB, ttl: 60}\n")
    assert (settings.cache.bytes, settings.cache.ttl) == (2 * GIB, 60)
    assert (settings.access.policy, settings.log.level, settings.listen.grace) == ("shared", "debug", 3)
    assert settings.listen.viewers == "0.0.0.0:9000"
    assert [origin.url for origin in settings.origins] == ["http://b"]
    assert settings.all_profiles()[settings.profile].first == 128 * KIB


def test_the_environment_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGRESSIVE_PROXY_ORIGINS", '[{"url": "http://b"}]')
    assert read("").origins[0].url == "http://b"


def test_a_wrong_key_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGRESSIVE_PROXY_CACHE__SIZE", "2GiB")
    [fault] = faults(ORIGIN)
    assert fault.endswith(f"cache.size: unknown key; the keys are {CACHE_KEYS}")


def test_what_kubernetes_says_of_a_service_of_our_name_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SERVICE_HOST": "10.0.0.1",
        "PORT": "tcp://10.0.0.1:80",
        "PORT_80_TCP_PORT": "80",
    }.items():
        monkeypatch.setenv(f"PROGRESSIVE_PROXY_{name}", value)
    monkeypatch.delenv("PROGRESSIVE_PROXY_ORIGINS", raising=False)
    assert read(ORIGIN) == parse(ORIGIN, "other.yaml", Settings)


@pytest.mark.parametrize(("name", "value"), [("ORIGINS", "http://b"), ("LOG", "loud"), ("PROFILES", "{")])
def test_a_wrong_value_in_the_environment_is_refused_like_one_in_the_file(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PROGRESSIVE_PROXY_{name}", value)
    [fault] = faults(ORIGIN)
    assert name in fault.upper()


def test_an_address_in_the_environment_is_host_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGRESSIVE_PROXY_LISTEN__VIEWERS", "0.0.0.0:9000")
    assert read(ORIGIN).listen.viewers == "0.0.0.0:9000"


@pytest.mark.parametrize(
    "line", ["_env_prefix: X_", "_env_file: nosuch.env", "_secrets_dir: null", "__pydantic_self__: 1"]
)
def test_a_key_that_pydantic_uses_itself_is_unknown_too(line: str) -> None:
    assert "unknown key" in faults(ORIGIN + line)[0]


@pytest.mark.parametrize("value", ['!!int ""', '!!float ""', "!!bool perhaps", "!!timestamp never"])
def test_a_value_that_is_not_what_its_tag_says_is_refused(value: str) -> None:
    [fault] = faults(f"{ORIGIN}profile: {value}")
    assert fault.startswith("f.yaml:")


def test_a_thousand_brackets_are_refused() -> None:
    [fault] = faults("a: " + "[" * 1000 + "]" * 1000)
    assert fault.startswith("f.yaml:")


def test_an_only_origin_gets_all_credentials_and_of_several_each_its_own() -> None:
    assert read(ORIGIN).forward == {"origin": Forward()}
    two = "origins:\n- {name: a, url: http://a}\n- {name: b, url: http://b, forward: {cookies: %s}}\n"
    nothing = Forward(cookies=frozenset())
    assert read(two % "[x, y]").forward == {"a": nothing, "b": Forward(cookies=frozenset({"x", "y"}))}
    assert read(two % "['*']").forward == {"a": nothing, "b": Forward()}
    assert read(two % "[]").forward == {"a": nothing, "b": nothing}
    one = "origins: [{url: http://a, forward: {authorization: false, cookies: [x]}}]"
    assert read(one).forward == {"origin": Forward(authorization=False, cookies=frozenset({"x"}))}


def test_an_origin_with_credentials_of_our_own_gets_no_viewers() -> None:
    own = "origins: [{url: http://a, credentials: {bearer_file: /token}%s}]"
    assert read(own % "").forward == {"origin": Forward(False, frozenset(), is_own=True)}
    assert faults(own % ", forward: {cookies: [x]}") == [
        "f.yaml:1: origins.0: forward: an origin with the proxy's own credentials "
        "gets no viewer's credentials"
    ]


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "a,b", "ä"])
def test_what_no_cookie_is_called_is_refused(name: str) -> None:
    assert len(faults(f"origins: [{{url: http://a, forward: {{cookies: ['{name}']}}}}]")) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "listen: {admin: '0.0.0.0:1'}\nadmin: {open: true}",
            "open is possible only",
        ),
        ("admin: {open: true, token_file: /t}", "set either token_file or open"),
    ],
)
def test_the_admin_listener_is_never_open_to_a_network(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"origins: [{{url: http://a}}]\n{text}\n")
    with pytest.raises(ConfigurationError, match=words):
        load(path)


def test_a_key_of_the_environment_leaves_the_policy_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("origins: [{url: http://a}]\naccess: ask-origin\n")
    monkeypatch.setenv("PROGRESSIVE_PROXY_ACCESS__TTL", "5")
    assert load(path).access == AccessSettings(policy="ask-origin", ttl=5)
    path.write_text("origins: [{url: http://a}]\naccess: credential\n")
    with pytest.raises(ConfigurationError, match="only policy ask-origin and forward_auth have this setting"):
        load(path)
