"""The routes, a module a subject. A route that is added has a scope, and a line in the tables of docs/api.md."""
