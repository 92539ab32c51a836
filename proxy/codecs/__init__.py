"""Decoding, encoding and rendering in worker processes; the only package that imports imagecodecs."""
