"""Every way to what the proxy holds or hands on, as requests of a viewer or an administrator."""

from dataclasses import dataclass
from typing import Any

import httpx

from tests.house import House
from tests.scripted_origin import SERIES, frame_of

STUDY = SERIES.partition("/series")[0]
FRAME = frame_of(0)
INSTANCE = FRAME.partition("/frames")[0]
ALTERNATE: dict[str, Any] = {"alternates": {"jls": {"path": "/jls/", "codec": "jpegls"}}}
"""Settings with which the alternates and pictures among the ways are made here."""
_PLAN = {"study": STUDY.split("/")[2], "series": SERIES.split("/")[4], "profile": "single"}


@dataclass(frozen=True)
class Way:
    """One request."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    is_admins: bool = False

    async def ask(self, home: House, proof: dict[str, str]) -> httpx.Response:
        """The answer to a caller with this proof."""
        client = home.admin if self.is_admins else home.viewer
        json = _PLAN if self.is_admins else None
        return await client.request(self.method, self.path, headers=dict(self.headers) | proof, json=json)


_SINGLE = (("accept", "image/jphc"),)
WAYS = {
    "frame": Way("GET", FRAME, _SINGLE),
    "range": Way("GET", FRAME, (*_SINGLE, ("range", "bytes=0-99"))),
    "head": Way("HEAD", FRAME, _SINGLE),
    "named origin": Way("GET", f"/pacs{FRAME}", _SINGLE),
    "upgrade": Way("GET", FRAME, (*_SINGLE, ("connection", "upgrade"), ("upgrade", "websocket"))),
    "several": Way("GET", f"{INSTANCE}/frames/1,1", (("accept", "multipart/related; type=image/jphc"),)),
    "alternate": Way("GET", f"{INSTANCE}/jls/1"),
    "rendered": Way("GET", f"{FRAME}/rendered", (("accept", "image/png"),)),
    "thumbnail": Way("GET", f"{SERIES}/thumbnail", (("accept", "image/png"),)),
    "metadata": Way("GET", f"{SERIES}/metadata"),
    "search": Way("GET", "/studies?PatientName=x"),
    "upload": Way("POST", "/studies"),
    "deletion": Way("DELETE", STUDY),
    "options": Way("OPTIONS", FRAME),
    "plan": Way("POST", "/v1/plans", is_admins=True),
}
PREFLIGHT = {"origin": "https://viewer.example", "access-control-request-method": "GET"}
