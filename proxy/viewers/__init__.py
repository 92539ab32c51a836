"""The viewers' listener: requests read, frames and pictures answered, everything else forwarded."""
