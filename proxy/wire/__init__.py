"""What is on the wire: names of frames, media types, ranges, multipart. Pure; any floor above may use it."""
