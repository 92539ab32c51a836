"""The soak: random viewers, tokens that come and go, and an origin that fails, against a real proxy process.

The processes share only the clock. A frame's bytes follow from its path and its version (`frames`); the
version, and the rights of a token (`rights`), follow from the time. So every response can be checked,
whichever copy it comes from (`judge`). The origin keeps a record of its faults, which explains errors and
cuts. `python -m tests.bench soak` runs it.
"""
