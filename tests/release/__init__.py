"""What goes with a release: an SBOM, a NOTICE, and a bundle for machines without a network.

`python -m tests.release sbom` and `… bundle` write into `dist`. Both look at the same thing: an
environment with what the image carries, installed as `Dockerfile` does it.
"""
