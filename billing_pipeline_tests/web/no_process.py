"""Runs that are claimed and get no process; billing_pipeline_tests/defs tries those."""


class NoProcess:
    """A process that has come up and ended well, and said nothing of it."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def wait(self) -> int:
        return 0
