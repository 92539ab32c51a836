"""An embedded origin that serves real images for `progressive-proxy demo`."""
