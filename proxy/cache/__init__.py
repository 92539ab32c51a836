"""Caches: frames in memory within a budget of bytes, and alternates that an origin lacks."""
