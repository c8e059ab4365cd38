"""YAML that people keep beside the price book: policies and words. Plain values, within limits, or one line."""

from typing import Any

import yaml

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.texts import CONTROL_IN_LINES

TEXT_MAX = 1 << 20
"""Characters of a file; the longest of ours has a fiftieth of it."""
DEPTH_MAX = 100
"""Lists and mappings within each other; libyaml's reader goes down on the stack of the process."""

_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, where PyYAML was built with it: a tenth of the time. What is wrong the other one says better."""


class YamlWrong(UserError):  # noqa: N818 - reads as what happened
    """The file is no YAML of ours; the text names the file, and the line where there is one."""


def read_yaml(text: str, file: str) -> Any:
    """The values of the document. Aliases have no place in it: a few lines of them stand for millions of values.

    Raises:
        YamlWrong: it is too long or no YAML, or has an alias or a control character.
    """
    if len(text) > TEXT_MAX:
        raise YamlWrong(f"{file}: expected at most {TEXT_MAX:,} characters")
    try:
        return _read(text, file, _FAST)
    except yaml.YAMLError:
        return _read(text, file, yaml.SafeLoader)


def _read(text: str, file: str, loader: Any) -> Any:
    depth = 0
    try:
        for event in yaml.parse(text, loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            wrong = _wrong(event) if depth <= DEPTH_MAX else "expected YAML that is less deeply nested"
            if wrong is not None:
                line = event.start_mark.line + 1 if event.start_mark else 0
                raise YamlWrong(f"{file}, line {line}: {wrong}")
        return yaml.load(text, loader)  # noqa: S506 - both are safe ones
    except yaml.YAMLError as error:
        if loader is not yaml.SafeLoader:
            raise
        raise YamlWrong(f"{file}: {' '.join(str(error).split())}") from None
    except (ValueError, OverflowError) as error:  # a day that is none, a number without end
        raise YamlWrong(f"{file}: a value that is none: {error}") from None


def _wrong(event: yaml.Event) -> str | None:
    if isinstance(event, yaml.AliasEvent):
        return "expected the values themselves and no alias"
    if isinstance(event, yaml.ScalarEvent) and CONTROL_IN_LINES.search(event.value):
        return "expected a text without control characters"
    return None
