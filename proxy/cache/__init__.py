"""Where bytes are kept. `retrieve` and `fill` import it; the one door to cachetools."""
