"""The one base of errors that a user can cause and mend."""


class UserError(Exception):
    """A mistake in a file, setting or command. Its text is for the user: what is wrong and what was expected."""


class NotFound(UserError):  # noqa: N818 - reads as what happened
    """Nothing has the id or number that was named."""
