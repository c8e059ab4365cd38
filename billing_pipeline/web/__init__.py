"""What is reached over HTTP, each its own process."""
