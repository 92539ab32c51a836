"""Cookies by name and by path, so that each origin gets its own (RFC 6265); pure."""

from collections.abc import Collection


def named(cookies: str, names: Collection[str]) -> str:
    """The value of a `Cookie` header with only the cookies of these names; empty if there is none.

    >>> named("a=1; b=2; tracking=3", {"a", "b"})
    'a=1; b=2'
    """
    pairs = (pair.strip() for pair in cookies.split(";"))
    return "; ".join(pair for pair in pairs if pair.partition("=")[0].strip() in names)


def narrowed(set_cookie: str, base: str, prefix: str) -> str | None:
    """A `Set-Cookie` for what the origin has at the path `base` and the proxy serves at the path `prefix`.

    It loses its `Domain`. None is for a cookie of another part of the origin, which the proxy does not serve.

    >>> narrowed("a=1; Path=/; Domain=example.com; HttpOnly", "/dicom-web", "/pacs")
    'a=1; HttpOnly; Path=/pacs'
    >>> narrowed("a=1; Path=/dicom-web/studies/1", "/dicom-web", "/pacs")
    'a=1; Path=/pacs/studies/1'
    """
    pair, *attributes = set_cookie.split(";")
    path, kept = "/", [pair.strip()]
    for attribute in attributes:
        name, _, value = attribute.partition("=")
        match name.strip().lower():
            case "path":
                path = value.strip() if value.strip().startswith("/") else "/"  # RFC 6265 5.2.4
            case "domain":
                pass
            case _:
                kept.append(attribute.strip())
    if f"{base}/".startswith(f"{path.rstrip('/')}/"):  # RFC 6265 5.1.4
        return "; ".join([*kept, f"Path={prefix}"])
    if not path.startswith(f"{base}/"):
        return None
    return "; ".join([*kept, f"Path={prefix}{path.removeprefix(base)}"])
