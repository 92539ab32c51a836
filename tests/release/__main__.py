"""`python -m tests.release sbom`, or `bundle [IMAGE]` with the name of an image that buildah has."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.release import bundle
from tests.release.carried import DIST, NAME, VERSION, describe, installed


def main(wanted: str, image: str = "") -> None:
    """Writes the SBOM and the NOTICE, or the bundle, into `dist`."""
    DIST.mkdir(exist_ok=True)
    if wanted == "bundle":
        made = DIST / f"{NAME}-{VERSION}-bundle"
        bundle.collect(made, image)
        print(bundle.seal(made))
        return
    with TemporaryDirectory() as folder:
        print(*describe(installed(Path(folder)), DIST), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
