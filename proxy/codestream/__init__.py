"""What is in a frame: its header, where its resolutions end, if it is whole; smaller pictures of it. Pure."""
