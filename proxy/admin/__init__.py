"""The admin listener: health, metrics, origins and plans over HTTP."""
