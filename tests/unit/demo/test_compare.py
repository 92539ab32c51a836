"""The page's server without a browser: who may ask, what it answers, and what it refuses."""

from collections.abc import Iterator

import httpx
import pytest

from tests.browser.comparing import AS_USUAL, EMPTY, SLICES, Place, demo, small_tree

pytestmark = pytest.mark.demo


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with demo(small_tree(tmp_path_factory)) as running:
        yield running


@pytest.fixture
def asking(place: Place) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=place.url, trust_env=False, timeout=240) as client:
        yield client
    place.tell(AS_USUAL)


def frame_of(asking: httpx.Client) -> str:
    return str(asking.get("/state").json()["series"][0]["frames"][0])


def test_the_state_names_series_ways_and_links(asking: httpx.Client) -> None:
    told = asking.get("/state").json()
    assert [len(series["frames"]) for series in told["series"]] == [1, 1, SLICES]
    assert [way["name"] for way in told["ways"]] == [
        "whole", "streaming", "range", "interleaved", "jls", "jls-reduced", "open"
    ]  # fmt: skip
    assert told["network"]["down"] is None
    assert {"4g", "slow-3g", "hospital-lan", "local"} == {each["name"] for each in told["presets"]}
    bases = [way[side] for way in told["ways"] for side in ("direct", "proxied")]
    assert len(set(bases)) == len(bases)


def test_the_policy_lists_the_servers_that_the_page_asks_and_no_others(asking: httpx.Client) -> None:
    asked = asking.get("/").headers["content-security-policy"]
    told = asking.get("/state").json()["ways"]
    servers = {"/".join(way[side].split("/")[:3]) for way in told for side in ("direct", "proxied")}
    [connect] = [part.split() for part in asked.split("; ") if part.startswith("connect-src")]
    assert set(connect[2:]) == servers
    assert "unsafe" not in asked


def test_every_response_is_guarded(asking: httpx.Client) -> None:
    answers = [
        asking.get("/"),
        asking.get("/state"),
        asking.get("/nothing"),
        asking.post("/network", json=[]),
    ]
    answers.append(asking.get("/state", headers={"host": "evil.example"}))
    for answer in answers:
        assert answer.headers.get_list("content-security-policy") != []
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
        assert "access-control-allow-origin" not in answer.headers


def test_pages_of_other_sites_and_other_hosts_are_refused(asking: httpx.Client) -> None:
    for path in ("/clear", "/prepare", "/network", "/picture", "/layout"):
        foreign = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
        assert asking.post(path, headers=foreign).status_code == 403
    assert asking.get("/state", headers={"host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    ("path", "told", "status"),
    [
        ("/network", {"network": "0/5/10ms"}, 400),
        ("/network", {"network": "fast"}, 400),
        ("/network", {}, 400),
        ("/network", [], 400),
        ("/prepare", {"study": "1.2.3"}, 404),
        ("/prepare", {}, 404),
    ],
)
def test_what_can_not_be_is_refused(asking: httpx.Client, path: str, told: object, status: int) -> None:
    refused = asking.post(path, json=told)
    assert refused.status_code == status
    assert refused.json()["detail"]


def test_a_body_that_is_no_json_is_refused(asking: httpx.Client) -> None:
    assert asking.post("/network", content=b"{").status_code == 400


@pytest.mark.parametrize(
    ("query", "status"),
    [("way=range&images=3", 200), ("way=range&images=0", 400), ("way=range&images=1e3", 400),
     ("way=range&images=9999", 400), ("way=other&images=3", 404), ("", 404)],
)  # fmt: skip
def test_fetches_are_listed_for_known_ways_and_sizes(asking: httpx.Client, query: str, status: int) -> None:
    assert asking.get(f"/fetches?{query}").status_code == status


def test_the_network_changes_for_all_lines_and_back(asking: httpx.Client) -> None:
    told = asking.post("/network", json={"network": "50/10/20ms"}).json()
    assert (told["down"], told["up"], told["latency"]) == (50, 10, 20)
    assert asking.get("/state").json()["network"] == told
    assert asking.post("/network", json={"network": "local"}).json()["down"] is None


def test_bytes_are_drawn_as_they_are_posted(asking: httpx.Client, place: Place) -> None:
    frame = frame_of(asking)
    [file] = place.tree.glob(f"{frame}.jphc")
    content = file.read_bytes()
    layout = asking.post("/layout", content=content[:1000]).json()
    assert layout["ends"][-1] == len(content) - len(b"\xff\xd9")
    for number, end in enumerate(layout["ends"]):
        drawn = asking.post(f"/picture?frame={frame}", content=content[:end])
        assert drawn.headers["content-type"] == "image/png"
        columns, rows, reduce = map(int, drawn.headers["picture"].split())
        assert ([columns, rows], reduce) == (layout["sizes"][number], len(layout["ends"]) - 1 - number)
    refused = asking.post(f"/picture?frame={frame}", content=content[:50])
    assert refused.json()["title"] == "CodestreamError"
    assert asking.post("/picture?frame=studies/1/series/1/instances/1/frames/1").status_code == 404
    assert asking.post("/picture?frame=nothing").status_code == 400
    assert asking.post("/layout", content=b"no codestream").json() == {"sizes": [], "ends": []}


def test_what_was_cached_is_gone_after_clear_and_after_prepare(asking: httpx.Client) -> None:
    told = asking.get("/state").json()
    base = next(way["proxied"] for way in told["ways"] if way["name"] == "range")
    # A browser finds names below localhost by itself; here the name is only said.
    name, _, rest = base.removeprefix("http://").partition(":")
    series = told["series"][0]
    url = f"http://127.0.0.1:{rest}/{series['frames'][0]}"
    heard = {"accept": "image/jphc", "host": f"{name}:{rest.partition('/')[0]}"}

    def did() -> str:
        return asking.get(url, headers=heard).headers["cache-status"]

    def fill() -> None:
        while "; hit" not in did():
            pass  # the fill may end a moment after its response

    fill()
    assert asking.post("/clear", json={}).status_code == 204
    assert "; hit" not in did()
    fill()
    assert asking.post("/prepare", json={"study": series["study"]}).status_code == 204
    assert "; hit" not in did()


def test_an_origin_without_studies_is_asked_again(place: Place) -> None:
    with demo(place.tree) as other, httpx.Client(base_url=other.url, trust_env=False, timeout=240) as asking:
        other.tell(EMPTY)
        assert asking.get("/state").json()["series"] == []
        other.tell(AS_USUAL)
        assert len(asking.get("/state").json()["series"]) == 3
