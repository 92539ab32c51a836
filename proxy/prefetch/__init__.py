"""Plans carried out through the same fills as viewers' requests, and the table of them. `app` imports it."""
