"""The gate and the fills in virtual time, over a line to an origin, without a clock or a socket."""
