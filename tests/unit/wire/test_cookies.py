import pytest

from proxy.wire.cookies import named, narrowed

BASE, PREFIX = "/dicom-web", "/pacs"


@pytest.mark.parametrize(
    ("cookies", "names", "kept"),
    [
        ("a=1; b=2", {"a"}, "a=1"),
        ("a=1;b=2;a=3", {"a"}, "a=1; a=3"),
        ("a=1; b=2", set(), ""),
        ("a=1; b=2", {"A"}, ""),
        ("ab=1; b=2", {"a"}, ""),
        ("x=a=1; b=2", {"a"}, ""),
        (" a = 1 ", {"a"}, "a = 1"),
        ("a=b=c", {"a"}, "a=b=c"),
        ("; ;=;a", {"a"}, "a"),
        ("", {"a"}, ""),
    ],
)
def test_only_cookies_of_these_names_are_kept(cookies: str, names: set[str], kept: str) -> None:
    assert named(cookies, names) == kept


@pytest.mark.parametrize(
    ("path", "base", "prefix", "became"),
    [
        ("/", BASE, PREFIX, "/pacs"),
        ("/dicom-web", BASE, PREFIX, "/pacs"),
        ("/dicom-web/", BASE, PREFIX, "/pacs"),
        ("/dicom-web/studies", BASE, PREFIX, "/pacs/studies"),
        ("/dicom-web/../other", BASE, PREFIX, "/pacs/../other"),
        ("/dicom", BASE, PREFIX, None),
        ("/dicom-web2", BASE, PREFIX, None),
        ("/other", BASE, PREFIX, None),
        ("//other", BASE, PREFIX, None),
        ("", BASE, PREFIX, "/pacs"),
        ("other", BASE, PREFIX, "/pacs"),
        ("/", "", PREFIX, "/pacs"),
        ("/other", "", PREFIX, "/pacs/other"),
        ("/a/b", "/a/b/c", PREFIX, "/pacs"),
        ("/dicom-web/series", "/dicom-web/studies", "/studies", None),
        ("/dicom-web", "/dicom-web/studies", "/studies", "/studies"),
    ],
)
def test_a_cookie_is_for_its_origins_own_path(path: str, base: str, prefix: str, became: str | None) -> None:
    found = narrowed(f"a=1; Path={path}; Secure", base, prefix)
    assert found == (None if became is None else f"a=1; Secure; Path={became}")


@pytest.mark.parametrize(
    ("said", "became"),
    [
        ("a=1", "a=1; Path=/pacs"),
        ("a=1;", "a=1; ; Path=/pacs"),
        ("a=1; Domain=example.com", "a=1; Path=/pacs"),
        ("a=1; DOMAIN = .example.com ; pAtH = /", "a=1; Path=/pacs"),
        ("a=1; Path=/; Path=/dicom-web/x; path=/dicom-web/y", "a=1; Path=/pacs/y"),
        ("Path=/; HttpOnly", "Path=/; HttpOnly; Path=/pacs"),
        (
            "a=1; Max-Age=5; Expires=Wed, 21 Oct 2026 07:28:00 GMT; SameSite=Lax",
            "a=1; Max-Age=5; Expires=Wed, 21 Oct 2026 07:28:00 GMT; SameSite=Lax; Path=/pacs",
        ),
    ],
)
def test_all_else_that_a_cookie_says_is_kept_but_its_domain(said: str, became: str) -> None:
    assert narrowed(said, BASE, PREFIX) == became
