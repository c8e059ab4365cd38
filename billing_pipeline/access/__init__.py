"""Who may come in by the API, and what they may do: tokens, roles and scopes.

Not here: what an operation decides about money, and HTTP.
"""
