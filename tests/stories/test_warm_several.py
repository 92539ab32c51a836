"""Several workers: each warms the studies that it keeps, and the admin listener tells of all of them."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.many import SINGLE, series_of, studies_of
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, codestream, frame_of
from tests.stories.test_several_workers import home
from tests.studies import row_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="sockets are handed over as on Linux"),
]


async def test_each_worker_warms_its_own_studies_and_the_progress_is_one(tmp_path: Path) -> None:
    origin, studies = ScriptedOrigin(), studies_of(0) + studies_of(1)
    for place, study in enumerate(studies):
        path = series_of(study)
        origin.with_series([codestream(5_000, place + 1)], path)
        row = row_of(series=path.rpartition("/")[2], modality="CT", number=1, instances=1)
        origin.metadata[f"/studies/{study}/series"] = json.dumps([row]).encode()
    rows = json.dumps([row_of(study=study, of_study=1) for study in studies]).encode()

    def script(asked: Asked) -> Reply | None:
        is_search = asked.path.startswith("/studies?PatientID")
        return Reply(200, {"content-type": "application/dicom+json"}, (rows,)) if is_search else None

    origin.script = script
    warm = [{"name": "worklist", "search": {"PatientID": "1"}}]
    async with home(origin, tmp_path, warm=warm) as service:
        assert (await service.admin.post("/v1/warm", json={})).status_code == 202
        while (told := (await service.admin.get("/v1/warm")).json()[0])["state"] == "running":
            await asyncio.sleep(0.05)
        assert (told["state"], told["studies"], told["done"], told["failed"]) == ("done", 6, 6, 0)
        paths = [frame_of(0, series_of(study)) for study in studies]
        assert [origin.requests_of(path) for path in paths] == [1] * 6
        for path in paths:
            assert "hit" in (await service.get(path, **SINGLE)).headers["cache-status"]
        assert (await service.admin.post("/v1/warm", json={"names": ["other"]})).status_code == 404
        assert (await service.admin.delete("/v1/warm")).status_code == 204
