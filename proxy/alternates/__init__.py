"""Other representations of a frame; the one door to imagecodecs. `archive`, `demo`, `measure` import it."""
