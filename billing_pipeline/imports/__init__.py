"""Files of users (CSV, JSONL, Parquet) into typed rows, or one clear line a mistake.

Here: formats, cells and the lines about mistakes. Not here: what the rows mean, which belongs to the room that imports
them (`customers/`, `usage/`).
"""
