"""The viewers' listener: it serves frames and pictures, and forwards every other request."""
