"""Other representations of a frame; the one door to imagecodecs. `archive`, `demo` and `measure` import it."""
