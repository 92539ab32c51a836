"""The configuration as one frozen value: reading it, and applying changes while the proxy runs."""
