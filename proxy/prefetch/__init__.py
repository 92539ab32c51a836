"""Plans carried out, through the same fills as viewers' requests."""
