"""Postgres: the engine, COPY, migrations, the embedded server, psql, and every advisory lock.

No rule of billing belongs here.
"""
