"""Benchmarks: figures beside computed limits and beside named rivals, all made in the same run."""
