"""What is in a frame: the main header of an HTJ2K codestream and its resolution ends. Pure."""
