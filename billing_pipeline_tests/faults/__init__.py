"""The proof that no fault charges twice or forgets to charge: `make faults`.

Each module is one kind of fault (kills, lost answers, lost commits, …) with a function that takes a seed and returns a
`report.Part`. Nothing in production code knows of it: processes kill themselves at numbered boundaries (boundaries.py),
connections are cut by a proxy (proxy.py), and mutants are patches of a copy (mutants.py).
"""
