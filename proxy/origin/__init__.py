"""One request to one origin, checked and bounded. `fill`, `retrieve` and `app` import it; a door to httpx."""
