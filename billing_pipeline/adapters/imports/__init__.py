"""The platform's files, into tables."""
