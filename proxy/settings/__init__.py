"""The configuration as one frozen value, how it is read, and how a change of it is taken up."""
