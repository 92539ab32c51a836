"""The files of the web pages, one style for them all, and headers that keep each request on this machine."""
