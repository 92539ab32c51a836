"""Rules that choose a profile: each condition alone, lists, wildcards, and what is not known."""

import pytest

from proxy.errors import ConfigurationError
from proxy.fetch.series import read_frames
from proxy.frame.key import SeriesKey
from proxy.plan.choice import Rule, SeriesFacts
from proxy.settings.model import Settings
from proxy.settings.reading import parse

FACTS = SeriesFacts("MG", "1.2.840.10008.1.2.4.202", 4, "L MLO scout", "BREAST", (4096, 3328))
TWO = "origins: [{name: a, url: http://a}, {name: b, url: http://b}]\n"


def settings(rule: str) -> Settings:
    return parse(f"{TWO}choose: [{{profile: streaming, {rule}}}]\n", "f.yaml", Settings)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ("modality: MG", True),
        ("modality: mg", True),
        ("modality: [CT, MG]", True),
        ("modality: [CT, MR]", False),
        ("transfer_syntax: [1.2.840.10008.1.2.4.80, 1.2.840.10008.1.2.4.202]", True),
        ("transfer_syntax: 1.2.840.10008.1.2.4.20*", True),
        ("transfer_syntax: 1.2.840.10008.1.2.4.20", False),
        ("description: '*scout*'", True),
        ("description: '*SCOUT'", True),
        ("description: scout", False),
        ("description: [localizer, 'L*']", True),
        ("body_part: breast", True),
        ("body_part: [CHEST, ABDOMEN]", False),
        ("size_at_least: 2048x2048", True),
        ("size_at_least: 4096 × 3328", True),
        ("size_at_least: 4096x4096", False),
        ("size_at_most: 4096x3328", True),
        ("size_at_most: 8192x1024", False),
        ("at_least: 4, at_most: 4", True),
        ("at_least: 5", False),
        ("origin: [b, a]", True),
        ("origin: b", False),
        ("modality: MG, body_part: CHEST", False),
        ("header: {X-Viewer: tablet-7}", True),
        ("header: {x-viewer: 'TABLET*'}", True),
        ("header: {X-Viewer: [desktop, tablet-7]}", True),
        ("header: {X-Viewer: desktop}", False),
        ("header: {X-Other: '*'}", False),
        ("header: {X-Viewer: 'tablet*', X-Empty: '*'}", False),
    ],
)
def test_a_rule_fits_if_all_of_its_conditions_do(rule: str, fits: bool) -> None:
    choice = settings(rule).choice()
    headers = {"x-viewer": "tablet-7", "x-empty": ""}
    assert choice.choose(None, "a", FACTS, headers) == ("streaming" if fits else "sequential")


@pytest.mark.parametrize(
    "rule",
    [
        "modality: '*'",
        "description: '*'",
        "body_part: '*'",
        "size_at_most: 9x9",
        "size_at_least: 1x1",
        "at_most: 9",
    ],
)
def test_what_is_not_known_fits_no_condition(rule: str) -> None:
    choice = settings(rule).choice()
    assert choice.needs_facts
    assert choice.choose(None, "a", None) == "sequential"
    empty = choice.choose(None, "a", SeriesFacts("", "", 4))
    assert empty == ("streaming" if rule.startswith("at_most") else "sequential")


def test_a_rule_about_the_request_needs_no_metadata() -> None:
    choice = settings("header: {X-Viewer: tablet}, origin: a").choice()
    assert not choice.needs_facts
    assert choice.choose(None, "a", None, {"x-viewer": "tablet"}) == "streaming"
    assert choice.choose(None, "a", None) == "sequential"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("modality: []", "choose.0.modality: must list at least 1"),
        ("modality: ['']", "choose.0.modality.0: must not be empty"),
        ("size_at_least: 2048", "choose.0.size_at_least: must be rows and columns, such as 2048x2048"),
        ("size_at_most: 0x0x0", "choose.0.size_at_most: must be rows and columns, such as 2048x2048"),
        ("header: X-Viewer", "choose.0.header: must be a mapping: one `key: value` a line, or {key: value}"),
        ("origin: [a, c]", "choose: there is no origin 'c'"),
        ("descripton: x", "choose.0.descripton: unknown key; did you mean description?"),
    ],
)
def test_a_wrong_rule_is_refused(rule: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings(rule)
    assert str(refused.value).startswith(f"f.yaml:2: {said}")


def test_the_facts_come_from_the_first_slice() -> None:
    def instance(number: int, description: str, rows: int) -> str:
        return (
            f'{{"00080018": {{"Value": ["1.{number}"]}}, "00200013": {{"Value": [{number}]}},'
            f'"0008103E": {{"Value": ["{description}"]}}, "00180015": {{"Value": ["CHEST"]}},'
            f'"00280010": {{"Value": [{rows}]}}, "00280011": {{"Value": [512]}}}}'
        )

    text = f"[{instance(2, 'second', 9)}, {instance(1, 'first', 512)}]"
    facts = read_frames(SeriesKey("a", b"", "1", "2"), [text.encode()]).facts
    assert (facts.description, facts.body_part, facts.size, facts.frames) == ("first", "CHEST", (512, 512), 2)
    bare = read_frames(SeriesKey("a", b"", "1", "2"), [b'[{"00080018": {"Value": ["1.1"]}}]']).facts
    assert (bare.description, bare.body_part, bare.size) == ("", "", None)


def test_a_rule_is_the_same_written_as_text_or_list() -> None:
    assert Rule.model_validate({"profile": "p", "modality": "CT"}) == Rule(profile="p", modality=("CT",))
