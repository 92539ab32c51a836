"""Where frames are kept, within a budget of bytes."""
