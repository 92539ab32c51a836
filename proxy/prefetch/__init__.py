"""Runs of prefetch plans. They use the same fills as viewers' requests."""
