"""Who may come in by the API or the pages, and what they may do: tokens, links, sessions, roles and scopes.

Not here: what an operation decides about money, and HTTP.
"""
