"""The gate and the fills in virtual time, over a simulated line to an origin, without a clock or sockets."""
