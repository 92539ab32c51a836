"""The admin API: health, metrics, status, configuration and plans over HTTP, on a listener of its own."""
