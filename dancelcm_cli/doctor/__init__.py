"""Whether this machine can animate, and what to type where it cannot."""
