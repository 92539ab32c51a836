"""Profiles build on each other: a key that is written replaces the whole key of the other."""

from pathlib import Path

import pytest

from proxy.cli import main
from proxy.errors import ConfigurationError
from proxy.plan.plan import ordered
from proxy.plan.profile import Profile, stock_profile
from proxy.settings.model import Settings
from proxy.settings.reading import parse

ORIGIN = "origins: [{url: http://pacs}]\n"


def profiles(text: str) -> dict[str, Profile]:
    return parse(ORIGIN + text, "f.yaml", Settings).all_profiles()


def test_a_profile_has_the_stages_of_another_and_options_of_its_own() -> None:
    found = profiles(
        "profiles:\n  mine:\n    extends: interleaved\n    retrieveOptions: {default: {framesPath: /jls/}}\n"
    )["mine"]
    assert found.stages == stock_profile("interleaved").stages
    assert set(found.retrieve_options) == {"default"}
    assert {fetch.frames_path for fetch in ordered(found, 9)} == {"/jls/"}


def test_a_profile_builds_on_another_that_builds_on_a_stock_one() -> None:
    found = profiles(
        "profiles:\n"
        "  c: {extends: b, complete: on-demand}\n"
        "  b: {extends: a, first: 1/4, prefetch: {trigger: metadata}}\n"
        "  a: {extends: byteRange, validators: strict, first: 64KiB}\n"
    )["c"]
    assert found.stages == stock_profile("byteRange").stages
    assert (found.complete, found.validators, found.prefetch.trigger) == ("on-demand", "strict", "metadata")
    assert str(found.first) == "1/4"


def test_what_is_written_as_nothing_takes_away() -> None:
    found = profiles("profiles:\n  a: {first: 64KiB}\n  b: {extends: a, first: null}\n")
    assert (found["a"].first, found["b"].first) == (65536, None)


def test_a_profile_with_the_name_of_a_stock_one_builds_on_that() -> None:
    found = profiles("profiles: {sequential: {extends: sequential, complete: on-demand}}\n")
    assert found["sequential"].stages == stock_profile("sequential").stages
    assert found["sequential"].complete == "on-demand"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{a: {extends: interleavd}}", "a: extends: interleavd is no profile; did you mean interleaved?"),
        ("{a: {extends: nowhere}}", "a: extends: nowhere is no profile"),
        ("{a: {extends: a}}", "a: extends: a builds on itself"),
        ("{a: {extends: b}, b: {extends: a}}", "a: extends: a builds on itself"),
        ("{c: {extends: a}, a: {extends: b}, b: {extends: a}}", "c: extends: a builds on itself"),
    ],
)
def test_a_profile_that_builds_on_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        profiles(f"profiles: {text}\n")
    assert str(refused.value) == f"f.yaml:2: profiles: {said}"


def test_check_and_plan_take_a_file_that_builds_on_a_stock_profile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "extends: interleaved\nretrieveOptions: {multipleFast: {rangeIndex: 0, decodeLevel: 0}}\n"
    )
    assert main(["check", str(path)]) == 0
    assert "quarterThumb" in capsys.readouterr().out
    assert main(["plan", str(path), "--images", "5"]) == 0
    assert "quarterThumb" in capsys.readouterr().out
    path.write_text("extends: interleavd\n")
    assert main(["check", str(path)]) == 1
    assert "did you mean interleaved?" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["...nothing", "...a.b", "......"])
def test_only_the_viewers_stages_can_be_spread_in_yaml(key: str) -> None:
    with pytest.raises(
        ConfigurationError, match="can be spread; for a profile of this file write `extends: NAME`"
    ):
        profiles(f"profiles:\n  a: {{'{key}': null, retrieveOptions: {{}}}}\n")
