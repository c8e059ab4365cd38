"""What notices say and when they go out. Pure."""
