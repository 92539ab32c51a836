"""The live viewer's bundle: how it is made by npm and esbuild, and its faces if it can't be made."""

import asyncio
import os
import shutil
from pathlib import Path

import httpx
import pytest

from proxy.demo.bundle import FILES, Bundle, BundleState
from proxy.demo.live import Live

pytestmark = pytest.mark.anyio

ESBUILD = """#!/bin/sh
for each; do case $each in --outdir=*) out=${each#--outdir=};; esac; done
mkdir -p "$out"
echo viewer > "$out/viewer.js"
echo worker > "$out/decodeImageFrameWorker.js"
"""
NPM = f"""#!/bin/sh
at=node_modules/@cornerstonejs
mkdir -p $at/dicom-image-loader/dist/esm $at/codec-openjph/dist $at/codec-charls/dist node_modules/.bin
touch $at/dicom-image-loader/dist/esm/decodeImageFrameWorker.js
touch $at/codec-openjph/dist/openjphjs.wasm $at/codec-charls/dist/charlswasm_decode.wasm
cat > node_modules/.bin/esbuild <<'END'
{ESBUILD}END
chmod +x node_modules/.bin/esbuild
"""
BROKEN = "#!/bin/sh\nexit 1\n"
ENDLESS = "#!/bin/sh\necho $$ > pid\nexec sleep 600\n"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that goes before all others."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    install(folder, "node", BROKEN)
    return folder


@pytest.fixture
def bundle(tmp_path: Path, programs: Path) -> Bundle:
    return Bundle(tmp_path / "kept")


def install(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)


async def until_over(bundle: Bundle) -> None:
    while bundle.state in (BundleState.INSTALLING, BundleState.BUNDLING):
        await asyncio.sleep(0.01)


async def test_it_is_made_once_and_only_if_it_is_asked_for(
    bundle: Bundle, tmp_path: Path, programs: Path
) -> None:
    install(programs, "npm", NPM)
    assert (bundle.state, bundle.file("viewer.js")) == (BundleState.ABSENT, None)
    bundle.begin()
    bundle.begin()
    await until_over(bundle)
    assert (bundle.state, bundle.reason) == (BundleState.READY, "")
    assert [path.name for name in FILES if (path := bundle.file(name)) and path.is_file()] == list(FILES)
    assert bundle.file("package.json") is None
    assert (await asyncio.to_thread(Bundle, tmp_path / "kept")).state is BundleState.READY
    await bundle.aclose()


async def test_it_can_be_tried_again(bundle: Bundle, programs: Path) -> None:
    install(programs, "npm", BROKEN)
    bundle.begin()
    await until_over(bundle)
    failed = bundle.state
    assert failed is BundleState.FAILED
    assert "npm install --prefix" in bundle.reason
    install(programs, "npm", NPM)
    bundle.begin()
    await until_over(bundle)
    assert bundle.state is BundleState.READY


async def test_without_npm_it_says_how_to_get_it(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bundle.begin()
    await until_over(bundle)
    assert bundle.state is BundleState.FAILED
    assert "apt-get install npm" in bundle.reason
    assert not (tmp_path / "kept").exists()


@pytest.mark.skipif(shutil.which("nice") is None, reason="needs nice")
async def test_npm_ends_with_the_page(bundle: Bundle, programs: Path) -> None:
    install(programs, "npm", ENDLESS)
    bundle.begin()
    told = bundle.folder / "pid"
    while not (told.exists() and told.read_text().strip()):
        await asyncio.sleep(0.01)
    assert bundle.state is BundleState.INSTALLING
    await bundle.aclose()
    process = Path("/proc") / told.read_text().strip()
    while process.exists():
        await asyncio.sleep(0.01)


async def test_the_page_follows_it(bundle: Bundle, programs: Path) -> None:
    install(programs, "npm", NPM)
    app = Live(bundle, "script-src 'self'").app
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://page") as client:
        assert (await client.get("/")).json() == {"state": "absent", "reason": ""}
        assert (await client.get("/viewer.js")).status_code == 404
        assert (await client.post("/")).json()["state"] == "installing"
        await until_over(bundle)
        assert (await client.get("/")).json()["state"] == "ready"
        script = await client.get("/viewer.js")
        assert (await client.get("/openjphjs.wasm")).headers["content-type"] == "application/wasm"
        assert (await client.get("/..%2Fpackage.json")).status_code == 404
    assert (script.text, script.headers["content-security-policy"]) == ("viewer\n", "script-src 'self'")
    assert script.headers["content-type"].startswith("text/javascript")
