"""Writes an nginx configuration for a tree, to include in http { }, for example in /etc/nginx/conf.d."""

from pathlib import Path

from proxy.archive.tree import BOUNDARY, DICOM, DICOM_JSON, ENDINGS, JPEG


def configuration(tree: Path, listen: str = "127.0.0.1:8080") -> str:
    """Returns the configuration of a server for this tree; the DICOMweb root is `/`."""
    frames = [media for media in ENDINGS if media != DICOM]
    return _TEMPLATE % {
        "listen": listen,
        "tree": str(tree).replace("\\", "\\\\").replace('"', '\\"').replace("$", "${dollar}"),
        "boundary": BOUNDARY,
        "json": DICOM_JSON,
        "jpeg": JPEG,
        "asked": "Accept, Authorization, Content-Type, If-Match, If-None-Match, If-Range, Range",
        "told": "Accept-Ranges, Content-Encoding, Content-Length, Content-Range, ETag",
        "types": " ".join(f"{media} {ENDINGS[media][1:]};" for media in frames),
        "files": " ".join(f"$uri{ENDINGS[media]}" for media in frames),
    }


_TEMPLATE = """\
# A DICOMweb tree written by `progressive-proxy create`. Include this file in http { }.
# A file server has limits: a search returns the whole list, and a request returns one frame.
# Everybody who can reach this server, and every web page, can read everything. Add users and TLS yourself.

geo $dollar { default "$"; }
map $arg_accept $dicomweb_accept { "" $http_accept; default $arg_accept; }
map $dicomweb_accept $dicomweb_first {
  "~*^\\s*(image|video|application)(/|%%2F)" .alone;  # a single media type gets a single part
  default .mht;                                      # everything else gets multipart (PS3.18 8.7.4)
}

server {
  listen %(listen)s;
  root "%(tree)s";
  default_type application/octet-stream;
  gzip_static on;  # JSON, if created with `--gzip`
  gzip_vary on;

  add_header Access-Control-Allow-Origin * always;
  add_header Access-Control-Allow-Methods "GET, HEAD, OPTIONS" always;
  add_header Access-Control-Allow-Headers "%(asked)s" always;
  add_header Access-Control-Expose-Headers "%(told)s" always;
  add_header Access-Control-Max-Age 86400 always;
  add_header Vary Accept always;
  if ($request_method = OPTIONS) { return 204; }

  location / { return 404; }
  location ~ /manifest\\.json$ { return 404; }

  # Lists, metadata, thumbnails.
  location /studies {
    types { %(json)s json; %(jpeg)s jpeg; }
    try_files $uri/index.json $uri.json $uri.jpeg =404;
  }

  # A DICOM file, if created with `--instances`.
  location ~ "^/studies/[0-9.]+/series/[0-9.]+/instances/[0-9.]+$" {
    types { application/dicom dcm; 'multipart/related; type="application/dicom"; boundary=%(boundary)s' mht; }
    try_files $uri/index$dicomweb_first $uri/index.dcm $uri/index.mht =404;
  }

  # Frames, alternates and bulk data, also by file name, such as frames/1.mht.
  location ~ "^/studies/[0-9.]+/series/[0-9.]+/instances/[0-9.]+/[^/]+/[^/]+$" {
    types { %(types)s 'multipart/related; boundary=%(boundary)s' mht; }
    try_files $uri$dicomweb_first %(files)s $uri.mht $uri =404;
  }
}
"""
