"""Filters cookies by name and narrows their path, so that each origin gets only its own (RFC 6265). Pure."""

from collections.abc import Collection, Iterable


def named(cookies: str, names: Collection[str]) -> str:
    """Returns the value of a `Cookie` header with only the cookies named in `names`; empty if none match.

    >>> named("a=1; b=2; tracking=3", {"a", "b"})
    'a=1; b=2'
    """
    pairs = (pair.strip() for pair in cookies.split(";"))
    return "; ".join(pair for pair in pairs if pair.partition("=")[0].strip() in names)


def sorted_by_name(headers: Iterable[str], names: Collection[str] | None) -> str:
    """The cookies of all `Cookie` headers in the order of their names; only those in `names`, if given.

    Two cookies of one name keep their order, because a server may take the first of them.

    >>> sorted_by_name(["b=2; a=1", "b=1"], None), sorted_by_name(["b=2; a=1"], {"a"})
    ('a=1; b=2; b=1', 'a=1')
    """
    pairs = [pair.strip() for header in headers for pair in header.split(";")]
    named_pairs = [(pair.partition("=")[0].strip(), pair) for pair in pairs if pair]
    kept = [each for each in named_pairs if names is None or each[0] in names]
    return "; ".join(pair for _, pair in sorted(kept, key=lambda each: each[0]))


def narrowed(set_cookie: str, base: str, prefix: str) -> str | None:
    """Rewrites an origin's `Set-Cookie` from the origin's path `base` to the proxy's path `prefix`.

    The `Domain` attribute is removed. Returns None if the cookie belongs to a part of the origin that the
    proxy does not serve.

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
