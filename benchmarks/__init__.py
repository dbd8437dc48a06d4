"""Measured claims. Each prints the machine, the versions, what was compared in the same run, and the ratio."""
