"""The admin API: health, metrics, origins and plans over HTTP, on a listener of its own."""
