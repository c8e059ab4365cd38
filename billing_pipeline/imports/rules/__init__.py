"""What a cell of a file may hold. Pure."""
