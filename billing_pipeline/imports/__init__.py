"""Files of users (CSV, JSONL, Parquet) into typed rows, or one clear line a mistake.

What the rows mean belongs to the room that imports them.
"""
