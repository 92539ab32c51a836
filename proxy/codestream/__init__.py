"""What is in an HTJ2K codestream: headers, where its resolutions end, whether it is whole. Pure."""
