"""`billing bench`: how fast a month is built, next to COPY of the same rows and to a loop over customers.

Everything happens on a server of its own in a temporary folder; the configured database is never opened. What is
measured is described in docs/benchmark.md.
"""
