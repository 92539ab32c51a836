"""The built-in profiles by name, and their files. Imports no library, so that a command's help is quick."""

from importlib import resources

from proxy.errors import UnknownName

STOCK = (
    "sequential", "single", "streaming", "interleaved", "coarseInterleaved", "byteRange", "jls", "jlsReduced",
    "htj2kReduced",
)  # fmt: skip
"""Names of the built-in profiles; the first is the default."""


def stock_text(name: str) -> str:
    """Returns the file of a built-in profile, unchanged. Raises `UnknownName`."""
    if name not in STOCK:
        raise UnknownName(f"there is no such profile, only {', '.join(STOCK)}")
    return resources.files("proxy.plan").joinpath("stock", f"{name}.yaml").read_text("utf-8")
