"""Everything that sends notices is killed at each of its boundaries: `make kills`."""
