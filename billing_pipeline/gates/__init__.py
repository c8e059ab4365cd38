"""Data quality: what is expected of a month before it may be charged, and the only `import great_expectations`."""
