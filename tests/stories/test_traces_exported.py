"""Spans go to a collector by OTLP, over a real socket; a collector that is away delays nobody."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import ConfigurationError
from proxy.service.app import create_app
from proxy.settings.model import Settings
from proxy.telemetry.spans import Spans
from tests.codestreams import htj2k
from tests.collector import Collector
from tests.house import STORY, House, house
from tests.many import many, series_of, studies_of
from tests.scripted_origin import FRAME, ScriptedOrigin, codestream, frame_of, running
from tests.stories.test_alternates import PIXELS, described

pytestmark = pytest.mark.anyio

BODY = codestream(200_000)
SINGLE = {"accept": "image/jphc"}
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = {"traceparent": f"00-{TRACE}-{SPAN}-01"}


async def export(home: House) -> None:
    """Sends what is in the queue now, as the exporter's thread does every few seconds."""
    traces = home.app.telemetry.traces
    assert isinstance(traces, Spans)
    await home.until_inside(0)
    await home.until_idle()
    await asyncio.to_thread(traces._provider.force_flush)


async def test_a_collector_gets_the_spans_with_the_headers_of_the_file(tmp_path: Path) -> None:
    secret = tmp_path / "headers"
    secret.write_text("Authorization: Bearer first\n\nX-Scope-OrgID: pacs\n")
    collector = Collector()
    async with running(collector.server):
        traces = {"endpoint": collector.url, "headers_file": secret, "share": 0}
        async with house(ScriptedOrigin({FRAME: BODY}), traces=traces) as home:
            assert (await home.viewer.get(FRAME, headers=SINGLE | PARENT)).content == BODY
            await export(home)
            secret.write_text("Authorization: Bearer second\n")
            await home.viewer.get(FRAME, headers=SINGLE | PARENT)
            await export(home)
        spans = collector.spans()
        assert {span.trace_id.hex() for span in spans} == {TRACE}
        kinds = [span.kind for span in spans]
        assert (kinds.count(2), kinds.count(3), kinds.count(1)) == (2, 2, 2), "server, client, internal"
        assert collector.resources()[0]["service.name"] == "progressive-proxy"
        shown = [asked.headers.get("authorization") for asked in collector.server.asked]
        assert (shown[0], shown[-1]) == ("Bearer first", "Bearer second")
        assert collector.server.asked[0].headers["x-scope-orgid"] == "pacs"


async def test_a_collector_that_refuses_is_one_line_until_it_takes_spans_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    collector = Collector(status=401)
    async with running(collector.server):  # noqa: SIM117  # its address is known then
        async with house(ScriptedOrigin({FRAME: BODY}), traces={"endpoint": collector.url}) as home:
            for _ in range(3):
                assert (await home.viewer.get(FRAME, headers=SINGLE | PARENT)).content == BODY
                await export(home)
            collector.status = 200
            for _ in range(2):
                await home.viewer.get(FRAME, headers=SINGLE | PARENT)
                await export(home)
    lines = [
        (record.name, record.getMessage())
        for record in caplog.records
        if "trace" in record.getMessage() or record.name.startswith(("opentelemetry", "urllib3", "requests"))
        if record.levelname != "DEBUG"
    ]
    name = "proxy.telemetry.spans"
    assert lines == [(name, "traces can't be exported"), (name, "traces are exported again")]


async def test_a_collector_that_never_answers_holds_up_neither_viewers_nor_the_end() -> None:
    collector = Collector()
    collector.server.door = asyncio.Event()
    async with running(collector.server):
        async with house(ScriptedOrigin({FRAME: BODY}), traces={"endpoint": collector.url}) as home:
            assert (await home.viewer.get(FRAME, headers=SINGLE | PARENT)).content == BODY
            traces = home.app.telemetry.traces
            assert isinstance(traces, Spans)
            await home.until_inside(0)
            exporting = asyncio.create_task(asyncio.to_thread(traces._provider.force_flush))
            await home.until(lambda: bool(collector.server.asked))
            for _ in range(20):
                assert (await home.viewer.get(FRAME, headers=SINGLE | PARENT)).content == BODY
            assert not exporting.done(), "it was waiting all the time"
        collector.server.door.set()
        await exporting


async def test_what_is_left_goes_out_at_the_end() -> None:
    collector = Collector()
    async with running(collector.server):
        async with house(ScriptedOrigin({FRAME: BODY}), traces={"endpoint": collector.url}) as home:
            await home.viewer.get(FRAME, headers=SINGLE | PARENT)
        assert TRACE in {span.trace_id.hex() for span in collector.spans()}


@pytest.mark.skipif(sys.platform != "linux", reason="sockets are handed over as on Linux")
async def test_each_of_several_workers_exports_for_itself(tmp_path: Path) -> None:
    studies = [studies_of(number)[0] for number in (0, 1)]
    origin, collector = ScriptedOrigin(), Collector()
    for study in studies:
        origin.with_series([BODY], series_of(study))
    traces = {"endpoint": "", "share": 1.0}
    async with asyncio.timeout(STORY), running(origin), running(collector.server):
        async with many(tmp_path, origin.url, traces=traces | {"endpoint": collector.url}) as service:
            for study in studies:
                assert (await service.get(frame_of(0, series_of(study)))).content == BODY
            accept = {"accept": "application/openmetrics-text;version=1.0.0"}
            page = await service.admin.get("/metrics", headers=accept)
            assert page.headers["content-type"].startswith("application/openmetrics-text")
            assert "final_delivery_seconds_bucket" in page.text
            assert page.text.count("trace_id=") >= 2
            service.process.terminate()
            await service.process.wait()
        servers = [span for span in collector.spans() if span.kind == 2]
        assert len({each["service.instance.id"] for each in collector.resources()}) == 2
        assert len([span for span in servers if span.name.endswith("/frames/{frames}")]) >= 2


@pytest.mark.skipif(sys.platform != "linux", reason="sockets are handed over as on Linux")
async def test_a_job_is_in_its_viewers_trace_whichever_worker_answers(tmp_path: Path) -> None:
    studies = [studies_of(number)[0] for number in (0, 1)]
    origin, collector = ScriptedOrigin(), Collector()
    for study in studies:
        described(origin.with_series([htj2k(PIXELS)], series_of(study)), series=series_of(study))
    async with asyncio.timeout(STORY), running(origin), running(collector.server):
        given: dict[str, Any] = {
            "traces": {"endpoint": collector.url, "share": 0},
            "at_origin": {"rendered": "proxy"},
            "workers": {"http": 2, "number": 2},
        }
        async with many(tmp_path, origin.url, **given) as service:
            for number, study in enumerate(studies):
                path = f"{frame_of(0, series_of(study))}/rendered"
                trace = f"00-{number + 1:032x}-{SPAN}-01"
                answer = await service.viewer.get(path, headers={"accept": "image/png", "traceparent": trace})
                assert answer.status_code == 200
            service.process.terminate()
            await service.process.wait()
    spans = collector.spans()
    ours = {span.span_id: span for span in spans if span.name.endswith("/{frames}/rendered")}
    jobs = [span for span in spans if span.name == "job of a worker"]
    assert sorted(int(job.trace_id.hex(), 16) for job in jobs) == [1, 2]
    assert all(ours[job.parent_span_id].trace_id == job.trace_id for job in jobs)
    assert not [uid for study in studies for uid in (study, series_of(study)) if uid in str(spans)]


@pytest.mark.parametrize(
    ("text", "why"), [("no header\n", "line 1 is no header"), (None, "No such file or directory")]
)
def test_a_file_that_holds_no_headers_is_refused_without_a_word_of_it(
    tmp_path: Path, text: str | None, why: str
) -> None:
    file = tmp_path / "headers"
    if text is not None:
        file.write_text(text)
    traces = {"endpoint": "http://127.0.0.1:4318/v1/traces", "headers_file": file}
    settings = Settings(origins=[{"url": "http://origin"}], traces=traces)
    with pytest.raises(ConfigurationError, match=why) as refused:
        create_app(settings)
    assert "no header\n" not in str(refused.value)


def test_without_traces_the_library_is_not_even_loaded() -> None:
    import subprocess

    program = (
        "import sys; from proxy.service.app import create_app; from proxy.settings.model import Settings;"
        "create_app(Settings(origins=[{'url': 'http://origin'}]));"
        "print(sorted(name for name in sys.modules if name.startswith('opentelemetry.sdk')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
