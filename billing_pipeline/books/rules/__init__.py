"""Which differences there are, and the proof of a month. Pure."""
