"""Each value knows where it comes from, and a changed file tells what it would do before it does it."""

import json
from pathlib import Path
from typing import Any

import pytest

from proxy.settings.inforce import InForce, Sourced, sourced
from proxy.settings.model import Settings, load
from proxy.settings.reading import MAX_BYTES

TEXT = """\
origins:
  - name: pacs
    url: http://pacs/dicom-web
    timeouts:
      stall: 5
  - {name: other, url: "http://other", via: environment}
access: shared
cache:
  bytes: 2GiB
profile: mine
profiles:
  mine: {first: 128KiB}
"""


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PROGRESSIVE_PROXY_{name.upper()}", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(TEXT)
    return path


def in_force(file: Path, *, has_workers: bool = False) -> InForce:
    return InForce(load(file), file, has_workers=has_workers)


def values(found: InForce) -> dict[str, Sourced]:
    return {each.key: each for each in found.values()}


LINES: dict[str, tuple[Any, int]] = {
    "origins[pacs].url": ("http://pacs/dicom-web", 3),
    "origins[pacs].timeouts.stall": (5.0, 5),
    "origins[other].name": ("other", 6),
    "access.policy": ("shared", 7),
    "cache.bytes": (2 << 30, 9),
    "profile": ("mine", 10),
    "profiles.mine.first": (131072, 12),
}


@pytest.mark.parametrize("key", LINES)
def test_a_value_of_the_file_has_its_line(file: Path, key: str) -> None:
    found = values(in_force(file))[key]
    value, line = LINES[key]
    assert (found.source, found.at) == ("file", f"{file}:{line}")
    assert key == "profiles.mine.first" or found.value == value


@pytest.mark.parametrize(
    "key", ["listen.viewers", "cache.ttl", "origins[pacs].timeouts.connect", "access.ttl", "choose"]
)
def test_a_default_has_no_place(file: Path, key: str) -> None:
    found = values(in_force(file))[key]
    assert (found.source, found.at) == ("default", "")


ENVIRONMENT = {
    "one value": ("CACHE__BYTES", "1GiB", "cache.bytes", 1 << 30),
    "one value in lower case": ("cache__bytes", "1GiB", "cache.bytes", 1 << 30),
    "a section as JSON": ("CACHE", '{"ttl": 7}', "cache.ttl", 7.0),
    "a section by its word": ("ACCESS", "credential", "access.policy", "credential"),
    "a list": (
        "ORIGINS",
        '[{"name": "pacs", "url": "http://elsewhere"}]',
        "origins[pacs].url",
        "http://elsewhere",
    ),
}


@pytest.mark.parametrize(("name", "given", "key", "value"), ENVIRONMENT.values(), ids=ENVIRONMENT)
def test_a_variable_is_named(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, given: str, key: str, value: object
) -> None:
    monkeypatch.setenv(f"PROGRESSIVE_PROXY_{name}", given)
    found = values(in_force(file))[key]
    assert (found.source, found.at, found.value) == ("environment", f"PROGRESSIVE_PROXY_{name}", value)


def test_a_section_as_json_leaves_the_rest_to_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGRESSIVE_PROXY_CACHE", '{"ttl": 7}')
    assert values(in_force(file))["cache.bytes"].at == f"{file}:9"


def test_every_setting_is_there_and_json(file: Path) -> None:
    found = values(in_force(file))
    assert {key.split(".")[0].split("[")[0] for key in found} == set(Settings.model_fields)
    json.dumps([each.value for each in found.values()], allow_nan=False)


def test_the_query_of_a_url_is_not_shown() -> None:
    settings = Settings(
        origins=[{"url": "http://pacs"}],
        access={"jwt": {"issuer": "i", "audience": "a", "jwks_url": "https://keys/jwks?code=secret"}},
    )
    found = {each.key: each for each in sourced(settings, "", "", {})}
    assert found["access.jwt.jwks_url"].value == "https://keys/jwks?…"
    assert (found["access.jwt.issuer"].source, found["cache.bytes"].source) == ("program", "default")


CHANGES = {
    "cache.bytes": (TEXT.replace("2GiB", "3GiB"), (2 << 30, 3 << 30), "with a restart"),
    "cache.ttl": (TEXT.replace("bytes: 2GiB", "bytes: 2GiB\n  ttl: 60"), (3600.0, 60.0), "with a restart"),
    "profile": (TEXT.replace("profile: mine", "profile: single"), ("mine", "single"), "at once"),
    "origins[pacs].profile": (
        TEXT.replace("stall: 5", "stall: 5\n    profile: mine"),
        (None, "mine"),
        "at once",
    ),
}


@pytest.mark.parametrize("key", CHANGES)
def test_a_changed_value_is_told_with_when_it_counts(file: Path, key: str) -> None:
    text, (before, after), takes = CHANGES[key]
    found = in_force(file).change(text)
    assert found.faults == ()
    [difference] = found.differences
    assert (difference.key, difference.before, difference.after) == (key, before, after)
    assert (difference.takes, difference.at.startswith(f"{file}:")) == (takes, True)


def test_origins_in_another_order_are_the_same(file: Path) -> None:
    first, second = TEXT.split("  - {name: other")[0], "  - {name: other" + TEXT.split("  - {name: other")[1]
    other, rest = second.split("\n", 1)
    moved = first.replace("origins:\n", f"origins:\n{other}\n") + rest
    assert in_force(file).change(moved).differences == ()


def test_another_origin_lets_nothing_count_at_once(file: Path) -> None:
    text = TEXT.replace("name: other", "name: third").replace("profile: mine", "profile: single")
    found = {each.key: each for each in in_force(file).change(text).differences}
    assert found["profile"].takes == "with a restart"
    assert (found["origins[other].url"].after, found["origins[third].url"].before) == (None, None)


def test_several_workers_take_more_without_a_restart(file: Path) -> None:
    text = TEXT.replace("2GiB", "3GiB") + "listen: {viewers: '127.0.0.1:9'}\nworkers: {http: 3}\n"
    found = in_force(file, has_workers=True).change(text)
    assert {each.key: each.takes for each in found.differences} == {
        "listen.viewers": "with a restart",
        "cache.bytes": "with new workers",
        "workers.http": "with a restart",
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (TEXT.replace("bytes: 2GiB", "byts: 2GiB"), ":9: cache.byts: unknown key"),
        ("origins: [\n", "not YAML"),
        ("#" * (MAX_BYTES + 1), "is larger than"),
    ],
)
def test_a_bad_file_has_its_faults_with_their_lines(file: Path, text: str, fault: str) -> None:
    found = in_force(file).change(text)
    assert fault in found.faults[0]
    assert found.differences == ()


def test_a_file_on_disk_that_changed_is_compared(file: Path) -> None:
    found = in_force(file)
    assert found.change_on_disk().differences == ()
    file.write_text(TEXT.replace("2GiB", "3GiB"))
    assert [each.key for each in found.change_on_disk().differences] == ["cache.bytes"]
    assert values(found)["cache.bytes"].value == 2 << 30
    file.unlink()
    assert "can't be read" in found.change_on_disk().faults[0]


def test_of_a_reload_only_that_is_in_force_which_counts_at_once(file: Path) -> None:
    found, text = (
        in_force(file),
        "# one more line\n" + TEXT.replace("2GiB", "3GiB").replace("128KiB", "256KiB"),
    )
    file.write_text(text)
    found.take(load(file), text)
    now = values(found)
    assert (now["cache.bytes"].value, now["cache.bytes"].at) == (2 << 30, f"{file}:9")
    assert now["profiles.mine.first"].at == f"{file}:13"
    assert [each.key for each in found.change(text).differences] == ["cache.bytes"]


def test_the_parent_of_workers_follows_the_file_as_they_do(file: Path) -> None:
    found = in_force(file, has_workers=True)
    file.write_text(TEXT.replace("profile: mine", "profile: single"))
    assert values(found)["profile"].value == "single"
    file.write_text("origins: [\n")
    assert values(found)["profile"].value == "single"
