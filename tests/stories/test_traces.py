"""Spans: the viewer's request, the wait at the gate, each request to the origin, a worker's job."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from proxy.telemetry.spans import LONGEST, Spans
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.resource import parse_frame_path
from tests.house import House, house
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream
from tests.stories.test_alternates import at, uncompressed

pytestmark = pytest.mark.anyio

BODY = codestream(200_000)
SINGLE = {"accept": "image/jphc"}
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"}
ROUTE = "/studies/{study}/series/{series}/instances/{instance}/frames/{frames}"


@asynccontextmanager
async def traced(
    origin: ScriptedOrigin, /, share: float = 1.0, joined: int = 1000, *, with_uids: bool = False, **more: Any
) -> AsyncIterator[tuple[House, InMemorySpanExporter]]:
    """A house whose spans are kept in memory, without those of its start."""
    kept = InMemorySpanExporter()
    spans = await asyncio.to_thread(
        lambda: Spans(SimpleSpanProcessor(kept), share, joined, with_uids=with_uids)
    )
    telemetry = await asyncio.to_thread(lambda: Telemetry(traces=spans))
    async with house(origin, telemetry=telemetry, **more) as home:
        kept.clear()
        home.origin.asked.clear()
        yield home, kept


def of_kind(kept: InMemorySpanExporter, kind: SpanKind) -> list[ReadableSpan]:
    return [span for span in kept.get_finished_spans() if span.kind is kind]


def facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def ids(span: ReadableSpan) -> tuple[str, str, str]:
    """The trace, the span and its parent, as in headers."""
    assert span.context is not None
    parent = f"{span.parent.span_id:016x}" if span.parent else ""
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}", parent


async def ended(home: House) -> None:
    await home.until_idle()
    await home.until_inside(0)


async def test_a_viewer_s_trace_goes_on_through_the_gate_to_the_origin() -> None:
    async with traced(ScriptedOrigin({FRAME: BODY})) as (home, kept):
        assert (await home.viewer.get(FRAME, headers=SINGLE | PARENT)).content == BODY
        await ended(home)
        (server,) = of_kind(kept, SpanKind.SERVER)
        assert (ids(server)[0], ids(server)[2]) == (TRACE, SPAN)
        clients, waits = of_kind(kept, SpanKind.CLIENT), of_kind(kept, SpanKind.INTERNAL)
        assert len(clients) == len(waits) == 2
        assert {span.name for span in waits} == {"wait at the gate"}
        assert {facts(span)["progressive_proxy.stage"] for span in waits} == {"first", "completion"}
        for span in (*clients, *waits):
            assert (ids(span)[0], ids(span)[2]) == (TRACE, ids(server)[1])
        got = {asked.headers["traceparent"] for asked in home.origin.frame_requests}
        assert got == {f"00-{TRACE}-{ids(span)[1]}-01" for span in clients}
        assert {asked.headers["tracestate"] for asked in home.origin.frame_requests} == {"vendor=1"}


async def test_attributes_follow_the_conventions_and_hold_no_uid() -> None:
    async with traced(ScriptedOrigin({FRAME: BODY})) as (home, kept):
        await home.viewer.get(FRAME, headers=SINGLE | PARENT)
        await home.viewer.get("/studies?PatientName=Doe", headers=PARENT)
        await ended(home)
        frame, search = of_kind(kept, SpanKind.SERVER)
        assert (frame.name, search.name) == (f"GET {ROUTE}", "GET /studies")
        said = facts(frame)
        assert said["http.route"] == said["url.path"] == ROUTE
        assert (said["http.request.method"], said["http.response.status_code"]) == ("GET", 200)
        assert said["http.response.body.size"] == len(BODY)
        assert said["http.response.header.cache-status"] == ("progressive-proxy; fwd=miss; stored",)
        assert [event.name for event in frame.events] == ["first bytes"]
        client = facts(of_kind(kept, SpanKind.CLIENT)[0])
        assert client["url.full"].endswith(ROUTE)
        assert client["server.port"] == int(home.origin.url.rpartition(":")[2].partition("/")[0])
        assert client["http.response.status_code"] in (200, 206)
        resource = parse_frame_path(FRAME[1:])
        told = str([(span.name, facts(span)) for span in kept.get_finished_spans()])
        for secret in (resource.study, resource.series, resource.instance, "Doe"):
            assert f"/{secret}" not in told
            assert f"={secret}" not in told


async def test_with_log_uids_the_path_is_whole() -> None:
    async with traced(ScriptedOrigin({FRAME: BODY}), with_uids=True) as (home, kept):
        await home.viewer.get(FRAME, headers=SINGLE)
        await ended(home)
        (server,) = of_kind(kept, SpanKind.SERVER)
        assert (facts(server)["url.path"], facts(server)["http.route"]) == (FRAME, ROUTE)
        assert all(facts(each)["url.full"].endswith(FRAME) for each in of_kind(kept, SpanKind.CLIENT))


async def test_a_repeated_hit_has_a_span_too_and_its_own_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "proxy.viewers.frames")
    async with traced(ScriptedOrigin({FRAME: BODY})) as (home, kept):
        for _ in range(5):
            await home.viewer.get(FRAME, headers=SINGLE)
            await ended(home)
        assert home.door.entered < 5, "some were answered below the app"
        servers = of_kind(kept, SpanKind.SERVER)
        assert len({ids(span)[0] for span in servers}) == 5
        assert {span.name for span in servers} == {f"GET {ROUTE}"}
        names = ("http.route", "url.scheme", "http.response.status_code", "http.response.header.cache-status")
        hits = [{name: facts(span)[name] for name in (*names, "server.port")} for span in servers[1:]]
        assert hits == hits[:1] * 4
        lines = [vars(record)["traceparent"] for record in caplog.records if record.getMessage() == "frame"]
        assert [tuple(line.split("-")[1:3]) for line in lines] == [ids(span)[:2] for span in servers]


async def test_a_viewer_s_own_trace_is_never_answered_below_the_app() -> None:
    async with traced(ScriptedOrigin({FRAME: BODY})) as (home, kept):
        for _ in range(4):
            await home.viewer.get(FRAME, headers=SINGLE | PARENT)
            await ended(home)
        assert home.door.entered == 4
        assert {ids(span)[2] for span in of_kind(kept, SpanKind.SERVER)} == {SPAN}


async def test_a_trace_that_nobody_records_is_carried_on_unrecorded() -> None:
    async with traced(ScriptedOrigin({FRAME: BODY})) as (home, kept):
        quiet = {"traceparent": f"00-{TRACE}-{SPAN}-00"}
        await home.viewer.get(FRAME, headers=SINGLE | quiet)
        await ended(home)
        assert not kept.get_finished_spans()
        for asked in home.origin.frame_requests:
            _, trace, span, flags = asked.headers["traceparent"].split("-")
            assert (trace, flags) == (TRACE, "00")
            assert span != SPAN


async def test_viewers_do_not_decide_how_much_is_recorded() -> None:
    async with traced(ScriptedOrigin({FRAME: BODY}), share=0.0, joined=0) as (home, kept):
        assert (await home.viewer.get(FRAME, headers=SINGLE | PARENT)).content == BODY
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY
        await ended(home)
        assert not kept.get_finished_spans()


JOBS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "alternate": (
        at("/jls/"),
        "image/jls",
        {"alternates": {"jls": {"path": "/jls/", "codec": "jpegls", "made": "always"}}},
        "jpegls",
    ),
    "picture": (f"{at('/frames/')}/rendered", "image/png", {"origin": {"rendered": "proxy"}}, "image/png"),
    "frame": (at("/frames/"), "image/jphc", {"origin": {"frames": "htj2k-if-not"}}, "htj2k"),
}


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("workers", [1, 3])
async def test_a_job_of_a_worker_belongs_to_the_request_that_wants_its_result(job: str, workers: int) -> None:
    path, accept, settings, said = JOBS[job]
    async with traced(uncompressed(), workers={"number": workers}, **settings) as (home, kept):
        answer = await home.viewer.get(path, headers={"accept": accept} | PARENT)
        assert answer.status_code == 200
        await ended(home)
        (span,) = [span for span in kept.get_finished_spans() if span.name == "job of a worker"]
        (server,) = of_kind(kept, SpanKind.SERVER)
        assert (ids(span)[0], ids(span)[2]) == (TRACE, ids(server)[1])
        kind = path.split("/")[7]
        assert f"/instances/{{instance}}/{kind}/{{frames}}" in server.name
        assert facts(span) == {"progressive_proxy.made": said}, "no UID"
        assert [event.name for event in span.events] == ["begun"]
        assert home.metric("job_seconds_count", state="running") == 1
        assert home.metric("jobs", state="running") == home.metric("jobs", state="waiting") == 0


async def test_errors_are_errors_of_the_right_span() -> None:
    def broken(asked: Asked) -> Reply | None:
        return Reply(503, {}) if asked.path == "/studies" else None

    async with traced(ScriptedOrigin({}, broken)) as (home, kept):
        assert (await home.viewer.get(FRAME, headers=SINGLE | PARENT)).status_code == 404
        assert (await home.viewer.get("/studies", headers=PARENT)).status_code == 503
        await ended(home)
        missing, failed = of_kind(kept, SpanKind.SERVER)
        assert missing.status.status_code is StatusCode.UNSET, "a 404 is no fault of the server"
        assert failed.status.status_code is StatusCode.ERROR
        assert facts(failed)["error.type"] == "503"
        kinds = {facts(span).get("error.type") for span in of_kind(kept, SpanKind.CLIENT)}
        assert kinds == {"404", "503"}


async def test_metrics_show_a_recorded_trace_only_as_open_metrics() -> None:
    async with traced(ScriptedOrigin({FRAME: BODY})) as (home, kept):
        await home.viewer.get(FRAME, headers=SINGLE | PARENT)
        await ended(home)
        (server,) = of_kind(kept, SpanKind.SERVER)
        exemplar = f'# {{span_id="{ids(server)[1]}",trace_id="{TRACE}"}}'
        plain = await home.admin.get("/metrics", headers={"accept": "text/plain;version=0.0.4"})
        assert plain.headers["content-type"].startswith("text/plain")
        assert TRACE not in plain.text
        accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
        page = await home.admin.get("/metrics", headers={"accept": accept})
        assert page.headers["content-type"].startswith("application/openmetrics-text")
        marked = [line.partition("{")[0] for line in page.text.splitlines() if exemplar in line]
        assert marked == [
            "progressive_proxy_first_delivery_seconds_bucket",
            "progressive_proxy_final_delivery_seconds_bucket",
        ]


async def test_without_traces_there_are_no_exemplars() -> None:
    async with house(ScriptedOrigin({FRAME: BODY})) as home:
        await home.viewer.get(FRAME, headers=SINGLE | PARENT)
        await ended(home)
        page = await home.admin.get("/metrics", headers={"accept": "application/openmetrics-text"})
        assert page.headers["content-type"].startswith("text/plain")
        assert "trace_id" not in page.text


async def test_a_long_path_is_cut_off() -> None:
    async with traced(ScriptedOrigin({}), with_uids=True) as (home, kept):
        await home.viewer.get("/studies/" + "1" * 9000, headers=PARENT)
        await ended(home)
        (server,) = of_kind(kept, SpanKind.SERVER)
        assert len(facts(server)["url.path"]) == LONGEST
        assert server.name == "GET /studies/{study}"
