"""An embedded origin with real images. Only `cli` and the tests import it."""
