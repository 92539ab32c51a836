"""Decodes, encodes and renders frames in worker processes. Only this package imports imagecodecs."""
