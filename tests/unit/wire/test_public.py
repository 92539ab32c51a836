"""The public URL of an origin, as a request or a setting tells it."""

import pytest

from proxy.wire.public import Publishing

OTHERWISE = "http://a.example"


@pytest.mark.parametrize(
    ("fields", "public"),
    [
        ({}, OTHERWISE),
        ({"host": "a.example:8080"}, "http://a.example:8080"),
        ({"host": "a.example:80"}, OTHERWISE),
        ({"host": "a.example:443"}, "http://a.example:443"),
        ({"host": "[::1]:8080"}, "http://[::1]:8080"),
        ({"x-forwarded-host": 'b"c', "x-forwarded-proto": "javascript"}, OTHERWISE),
        ({"x-forwarded-host": "b/c"}, OTHERWISE),
        ({"x-forwarded-host": "user@b"}, OTHERWISE),
        ({"x-forwarded-host": "ä.example"}, OTHERWISE),
        ({"x-forwarded-host": " b.example , c.example"}, "http://b.example"),
        ({"forwarded": 'for=_1;host="b.example:8443";proto=https, host=c'}, "https://b.example:8443"),
        ({"forwarded": 'for="a,b;host=c";HOST=b.example', "x-forwarded-host": "d"}, "http://b.example"),
        ({"forwarded": ";;=;,"}, OTHERWISE),
        ({"x-forwarded-prefix": "/pacs/"}, f"{OTHERWISE}/pacs"),
        ({"x-forwarded-prefix": "pacs"}, OTHERWISE),
        ({"x-forwarded-prefix": '/a"b'}, OTHERWISE),
        ({"x-forwarded-prefix": "/a/../b"}, OTHERWISE),
        ({"x-forwarded-prefix": "//evil.example"}, OTHERWISE),
    ],
)
def test_what_is_no_host_scheme_or_path_of_a_url_is_not_taken(fields: dict[str, str], public: str) -> None:
    assert str(Publishing().url("http", {"host": "a.example"} | fields, "")) == public


def test_a_request_without_a_host_tells_nothing() -> None:
    assert Publishing().url("http", {}, "pacs") is None


@pytest.mark.parametrize(
    ("origin", "url", "becomes"),
    [
        ("http://pacs", "http://pacs/studies", "http://a.example/studies"),
        ("http://pacs", "http://pacs:80/studies", "http://a.example/studies"),
        ("http://pacs:80/x/", "http://pacs/x/studies", "http://a.example/studies"),
        ("https://[::1]/x", "https://[::1]:443/x?y", "http://a.example?y"),
        ("https://[::1]:8042/x", "https://[::1]:8042/x", "http://a.example"),
        ("http://pacs:8042", "http://pacs/studies", "http://pacs/studies"),
        ("http://pacs/x", "http://pacs/x2/studies", "http://pacs/x2/studies"),
        ("http://pacs/x", "https://pacs/x/studies", "https://pacs/x/studies"),
    ],
)
def test_a_url_of_the_origin_is_known_with_and_without_its_port(origin: str, url: str, becomes: str) -> None:
    publishing = Publishing(origin, rewrites=True)
    public = publishing.url("http", {"host": "a.example"}, "")
    assert public is not None
    assert publishing.moved(public, url) == becomes
    rewriting = publishing.rewriting(public)
    assert (rewriting.feed(f'["{url}"]'.encode()) + rewriting.end()).decode() == f'["{becomes}"]'
