"""Pure rules of access: what a role may do, and how a token is written."""
