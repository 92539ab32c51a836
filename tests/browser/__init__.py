"""Cornerstone3D's own viewports in Chromium, in front of the proxy."""
