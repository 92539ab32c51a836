"""The one path of a frame: from the cache, from a fill under way, or from a supplier through its gate."""
