"""The stock Firefox, driven by WebDriver BiDi (W3C), with as much of Playwright's page as stories need.

No package has Playwright's own Firefox. Its driver of the stock Firefox (channel `moz-firefox`) sends
`emulation.setMediaFeaturesOverride` for each window, which Firefox ESR refuses as unknown.
"""

import asyncio
import itertools
import json
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

QUIET = """
user_pref("app.normandy.enabled", false);
user_pref("app.update.enabled", false);
user_pref("browser.newtabpage.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.search.update", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,");
user_pref("toolkit.telemetry.enabled", false);
"""
"""Preferences by which Firefox asks no server by itself."""
EVENTS = ["log.entryAdded", "network.beforeRequestSent"]
PATIENT: dict[str, Any] = {"max_size": None, "proxy": None, "open_timeout": None, "ping_interval": None}
"""A connection that no limit ends."""
_LISTENING = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")


class BidiError(Exception):
    """Firefox refused a command, or a script threw."""


class Session:
    """A session of commands and events."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.heard: Callable[[str, dict[str, Any]], None] = lambda _name, _fields: None

    async def listen(self) -> None:
        """Hands out answers and events until the connection ends."""
        async for text in self._connection:
            told = json.loads(text)
            if told["type"] == "event":
                self.heard(told["method"], told["params"])
            else:
                self._answers.pop(told["id"]).set_result(told)

    async def send(self, method: str, **fields: Any) -> dict[str, Any]:
        """Sends a command and returns its result."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._connection.send(json.dumps({"id": number, "method": method, "params": fields}))
        told = await answer
        if told["type"] == "error":
            raise BidiError(f"{method}: {told['message']}")
        result: dict[str, Any] = told["result"]
        return result


class Page:
    """A tab, by the names that Playwright has for it."""

    def __init__(self, session: Session, context: str, request: httpx.AsyncClient) -> None:
        self._session = session
        self._context = context
        self.request = request
        self._listeners: dict[str, Callable[[Any], None]] = {}

    def on(self, event: str, listener: Callable[[Any], None]) -> None:
        self._listeners[event] = listener

    def heard(self, name: str, fields: dict[str, Any]) -> None:
        if name == "network.beforeRequestSent" and fields.get("context") == self._context:
            self._tell("request", _Told(url=fields["request"]["url"]))
        elif name == "log.entryAdded" and fields["level"] == "error":
            is_thrown = fields["type"] == "javascript"
            self._tell("pageerror" if is_thrown else "console", _Told(type="error", text=fields["text"]))

    def _tell(self, event: str, told: "_Told") -> None:
        if event in self._listeners:
            self._listeners[event](told)

    async def set_viewport_size(self, size: dict[str, int]) -> None:
        await self._session.send("browsingContext.setViewport", context=self._context, viewport=size)

    async def goto(self, url: str) -> None:
        await self._session.send("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def evaluate(self, function: str, argument: Any = None) -> Any:
        """Calls a function in the page with a JSON value, and returns what it returns, as JSON."""
        called = f"async () => JSON.stringify((await ({function})({json.dumps(argument)})) ?? null)"
        told = await self._session.send(
            "script.callFunction",
            functionDeclaration=called,
            awaitPromise=True,
            target={"context": self._context},
        )
        if told["type"] == "exception":
            raise BidiError(told["exceptionDetails"]["text"])
        return json.loads(told["result"]["value"])

    async def wait_for_function(self, condition: str, timeout: float) -> None:  # noqa: ASYNC109  # as in Playwright
        """Looks until a condition holds; `timeout` is in milliseconds."""
        async with asyncio.timeout(timeout / 1000):
            while not await self.evaluate(condition):
                await asyncio.sleep(0.02)


class _Told:
    """What a listener is told."""

    def __init__(self, **fields: str) -> None:
        self.__dict__.update(fields)

    def __str__(self) -> str:
        return str(self.__dict__)


class Window:
    """Windows of a browser, as Playwright's contexts; each has cookies and a cache of its own."""

    def __init__(self, session: Session, user_context: str, request: httpx.AsyncClient) -> None:
        self._session = session
        self._user_context = user_context
        self._request = request

    def set_default_timeout(self, _milliseconds: float) -> None:
        """The stories say how long they wait."""

    async def new_page(self) -> Page:
        made = await self._session.send("browsingContext.create", type="tab", userContext=self._user_context)
        page = Page(self._session, made["context"], self._request)
        self._session.heard = page.heard
        await page.set_viewport_size({"width": 1440, "height": 900})
        return page

    async def close(self) -> None:
        await self._session.send("browser.removeUserContext", userContext=self._user_context)


class Firefox:
    """The running browser."""

    def __init__(self, session: Session, request: httpx.AsyncClient) -> None:
        self._session = session
        self._request = request

    async def new_context(self, viewport: dict[str, int]) -> Window:
        made = await self._session.send("browser.createUserContext")
        return Window(self._session, made["userContext"], self._request)


class Request(httpx.AsyncClient):
    """Requests beside the page, answered as Playwright answers them."""

    async def get(self, *arguments: Any, **more: Any) -> Any:
        return _Answer(await super().get(*arguments, **more))


class _Answer:
    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    async def json(self) -> Any:
        return self._response.json()


@asynccontextmanager
async def firefox(executable: str) -> AsyncIterator[Firefox]:
    """Runs Firefox without a screen, with a new profile."""
    profile = await asyncio.to_thread(mkdtemp)
    await asyncio.to_thread((Path(profile) / "user.js").write_text, QUIET)
    command = ("--headless", "--remote-debugging-port=0", "--no-remote", "--profile", profile)
    process = await asyncio.create_subprocess_exec(
        executable, *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with (
            connect(f"{await _address(process)}/session", **PATIENT) as connection,
            Request(trust_env=False, timeout=None) as request,
        ):
            saying = asyncio.create_task(_read_on(process))
            session = Session(connection)
            listening = asyncio.create_task(session.listen())
            await session.send("session.new", capabilities={})
            await session.send("session.subscribe", events=EVENTS)
            yield Firefox(session, request)
            await session.send("browser.close")
            for task in (listening, saying):
                task.cancel()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await asyncio.to_thread(shutil.rmtree, profile, ignore_errors=True)


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        if found := _LISTENING.search(line):
            return found[1].decode()
    raise BidiError("Firefox ended before it could be driven")


async def _read_on(process: asyncio.subprocess.Process) -> None:
    """Reads what Firefox says, which waits once a pipe is full."""
    assert process.stderr is not None
    while await process.stderr.read(65536):
        pass
