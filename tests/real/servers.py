"""Third-party servers on loopback. If one is missing, its tests are skipped with a hint how to install it."""

import json
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import httpx
import pytest

from tests.ports import free_port


class Storable(Protocol):
    """An instance that a server can store."""

    def part10(self) -> bytes:
        """The instance as a DICOM file."""


STARTS_WITHIN = 240
"""Seconds within which a program must answer after its start, and must end."""

NGINX = """
daemon off; worker_processes 1; pid nginx.pid; %(user)s
events { worker_connections 512; }
http {
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp;
  uwsgi_temp_path tmp; scgi_temp_path tmp;
  access_log off; default_type application/octet-stream;
  server { listen 127.0.0.1:%(port)s; root .; %(locations)s }
}
"""

SINGLE_PART = """
location ~ ^/dicomweb/studies/.+/frames/[0-9]+$ {
  types {
    image/jphc jphc;
    "image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5" rle;
    "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1" raw;
  }
  try_files $uri.jphc $uri.rle $uri.raw =404;
}
location / { types { application/dicom+json json; } try_files $uri.json $uri/index.json =404; }
"""
"""nginx configuration: each frame without multipart, with a type of its own."""

STATIC_WADO = """
location ~ ^/dicomweb/studies/.+/frames/[0-9]+$ {
  types {} default_type multipart/related; try_files $uri.mht @gzipped;
}
location @gzipped {
  types {} default_type multipart/related; add_header Content-Encoding gzip; try_files $uri.mht.gz =404;
}
location ~ ^/dicomweb/studies {
  types {} default_type application/json; add_header Content-Encoding gzip;
  try_files $uri/index.json.gz $uri.gz =204;
}
"""
"""nginx configuration from static-wado's documentation.

It has multipart without a boundary, gzip for every request, and 204 for missing files.
"""

CREATOR = """
location ~ ^/dicomweb/studies/.+/frames/[0-9]+$ {
  types {} default_type 'multipart/related; type="application/octet-stream"'; try_files $uri/index.bin =404;
}
location / { types { application/json json; } try_files $uri $uri/index.json $uri/index.bin =404; }
"""
"""nginx configuration from static-dicomweb-creator's own sample."""


@contextmanager
def nginx(folder: Path, locations: str) -> Iterator[str]:
    """Runs nginx over `folder`/dicomweb and yields its base URL."""
    program, port, user = _needed("nginx", "nginx-light"), free_port(), pwd.getpwuid(os.getuid())
    said = f"user {user.pw_name};" if user.pw_uid == 0 else ""  # only their owner may read pytest's folders
    (folder / "nginx.conf").write_text(NGINX % {"user": said, "port": port, "locations": locations})
    command = [program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
    url = f"http://127.0.0.1:{port}/dicomweb"
    with _running(command, url, folder / "log"):
        yield url


@contextmanager
def nginx_with(folder: Path, servers: str, listened: int | str) -> Iterator[str]:
    """Runs nginx with these servers on a free port instead of the one they listen on, and yields its URL."""
    program, port, user = _needed("nginx", "nginx-light"), free_port(), pwd.getpwuid(os.getuid())
    said = f"user {user.pw_name};" if user.pw_uid == 0 else ""
    assert f"listen {listened};" in servers
    servers = servers.replace(f"listen {listened};", f"listen 127.0.0.1:{port};")
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid nginx.pid; {said}\nevents {{ worker_connections 512; }}\n"
        "http {\nclient_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp;\n"
        f"uwsgi_temp_path tmp; scgi_temp_path tmp; access_log off;\n{servers}\n}}\n"
    )
    url = f"http://127.0.0.1:{port}"
    with _running(
        [program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"], url, folder / "nginx.log"
    ):
        yield url


@contextmanager
def orthanc(folder: Path, images: Sequence[Storable], user: Mapping[str, str] | None = None) -> Iterator[str]:
    """Runs Orthanc with these images, with a login if `user` is given. Yields the base URL of DICOMweb."""
    program, port = _needed("Orthanc", "orthanc orthanc-dicomweb"), free_port()
    plugin = Path(os.environ.get("ORTHANC_PLUGINS", "/usr/share/orthanc/plugins")) / "libOrthancDicomWeb.so"
    if not plugin.exists():
        pytest.skip("Orthanc's DICOMweb is not installed: apt-get install orthanc-dicomweb")
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "Plugins": [str(plugin)],
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": user is not None,
        "RegisteredUsers": dict(user or {}),
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    url = f"http://127.0.0.1:{port}"
    with _running([program, str(folder / "orthanc.json")], url, folder / "log"):
        auth = next(iter(user.items())) if user else None
        for image in images:
            answer = httpx.post(
                f"{url}/instances", content=image.part10(), auth=auth, trust_env=False, timeout=240
            )
            answer.raise_for_status()
        yield f"{url}/dicom-web"


def _needed(program: str, packages: str) -> str:
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed: apt-get install {packages}")
    return path


@contextmanager
def _running(
    command: Sequence[str], url: str, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Runs a program until the end of the block."""
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env=environment) as program:
        try:
            last = time.monotonic() + STARTS_WITHIN
            while not _answers(url):
                if program.poll() is not None or time.monotonic() > last:
                    pytest.fail(f"{command[0]} does not answer: {log.read_text()}")
                time.sleep(0.01)
            yield
        finally:
            program.terminate()
            program.wait(STARTS_WITHIN)


def _answers(url: str) -> bool:
    try:
        httpx.get(url, trust_env=False, timeout=240)
    except httpx.TransportError:
        return False
    return True
