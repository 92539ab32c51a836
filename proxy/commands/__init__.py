"""The commands of `progressive-proxy`, one module for each, named as it is typed."""
