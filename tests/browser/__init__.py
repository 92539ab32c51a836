"""Tests with Cornerstone3D's real viewports in Chromium, in front of the proxy."""
