"""Benchmarks. Each run measures the proxy and named rivals, and computes the limits of the line."""
