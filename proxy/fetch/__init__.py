"""Opens frames: from the cache, from a fill that runs, or from a supplier through its gate."""
