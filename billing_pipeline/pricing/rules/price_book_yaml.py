"""YAML for price books: text in, plain mappings, lists and strings out, mistakes collected with their path.

Here: syntax, duplicate keys, tags. Not here: what the keys mean (`price_book_reader`).

Every scalar keeps the characters of the file: PyYAML's own constructors would read an unquoted 0.10 as a
float, 010 as eight, `no` as False and a customer 00123 as 83, and would silently take the last of two equal
keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from billing_pipeline.core.texts import CONTROL_IN_LINES

Node = dict[str, "Node"] | list["Node"] | str | None

_KINDS = ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "value")
_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in _KINDS)


TEXT_MAX = 1 << 20
"""Characters of a price book file: some thousand prices."""
NODES_MAX = 200_000
"""Values that a file may become: aliases of aliases could make millions out of a few lines."""
KEY_LENGTH_MAX = 255
PROBLEMS_MAX = 100


class PriceBookError(ValueError):
    """Everything that is wrong with a price book file, so that one edit can mend it.

    `problems` holds one text each, beginning with its path (`versions[0].prices[2].rates.large: …`); the
    message has one line a problem, each beginning with `source`, the file's name.
    """

    def __init__(self, source: str, problems: list[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))


@dataclass(slots=True)
class Problems:
    """Collects mistakes under a prefix (`document 2: `, if the file has several documents)."""

    texts: list[str]
    prefix: str = ""

    def add(self, path: str, text: str) -> None:
        """Record that `text` is wrong at `path` (empty: the whole document); the first 100 are kept."""
        if len(self.texts) < PROBLEMS_MAX:
            self.texts.append(f"{self.prefix}{path}: {text}" if path else f"{self.prefix}{text}")


def join(path: str, key: str) -> str:
    """The path of `key` within the mapping at `path`."""
    return f"{path}.{key}" if path else key


def read_documents(text: str, source: str) -> tuple[list[tuple[Node, Problems]], list[str]]:
    """Each YAML document with the collector for its problems, and the list those collectors share.

    Raises PriceBookError at once for text that is no YAML: nothing after a syntax error can be trusted.
    """
    if len(text) > TEXT_MAX:
        raise PriceBookError(source, [f"longer than {TEXT_MAX:,} characters, which no price book is"])
    texts: list[str] = []
    try:
        roots = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        detail = " ".join(part for part in (error.context, error.problem) if part)
        raise PriceBookError(source, [f"{where}not valid YAML: {detail}"]) from None
    except yaml.YAMLError as error:
        raise PriceBookError(source, [f"not valid YAML: {' '.join(str(error).split())}"]) from None
    except RecursionError:
        raise PriceBookError(source, ["not valid as a price book: nested too deeply"]) from None
    documents = []
    count = Count()
    for number, root in enumerate(roots, start=1):
        problems = Problems(texts, f"document {number}: " if len(roots) > 1 else "")
        try:
            documents.append((_Converter(problems, count).convert(root, ""), problems))
        except _TooManyError as error:
            raise PriceBookError(
                source, [f"{error}: expected at most {NODES_MAX:,} values, with all aliases"]
            ) from None
    return documents, texts


class _TooManyError(Exception):
    """The path at which the file became too many values."""


@dataclass(slots=True)
class Count:
    """The values of all documents so far."""

    nodes: int = 0


@dataclass(slots=True)
class _Converter:
    problems: Problems
    count: Count
    open_nodes: set[int] = field(default_factory=set)

    def convert(self, node: yaml.Node | None, path: str) -> Node:
        if node is None:
            return None
        self.count.nodes += 1
        if self.count.nodes > NODES_MAX:
            raise _TooManyError(path)
        if node.tag not in _TAGS:
            self.problems.add(
                path, f"the tag {node.tag.replace('tag:yaml.org,2002:', '!!')} has no place in a price book"
            )
            return None
        if isinstance(node, yaml.ScalarNode):
            text: str = node.value
            if CONTROL_IN_LINES.search(text):
                line = node.start_mark.line + 1
                self.problems.add(path, f"a control character or half a surrogate pair (line {line})")
                return None
            return None if node.tag == "tag:yaml.org,2002:null" else text
        if id(node) in self.open_nodes:
            self.problems.add(path, "an alias that contains itself")
            return None
        self.open_nodes.add(id(node))
        converted: Node
        if isinstance(node, yaml.SequenceNode):
            converted = [self.convert(item, f"{path}[{i}]") for i, item in enumerate(node.value)]
        else:
            converted = dict(self._pairs(node, path))
        self.open_nodes.remove(id(node))
        return converted

    def _pairs(self, node: yaml.Node, path: str) -> Iterator[tuple[str, Node]]:
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self.problems.add(path, f"a key must be text (line {line})")
            elif key.tag == "tag:yaml.org,2002:merge":
                self.problems.add(path, f"merge keys (<<) have no place in a price book (line {line})")
            elif len(key.value) > KEY_LENGTH_MAX or CONTROL_IN_LINES.search(key.value):
                self.problems.add(path, f"a key must be 1 to {KEY_LENGTH_MAX} printable characters (line {line})")
            elif key.value in lines:
                self.problems.add(join(path, key.value), f"written twice (lines {lines[key.value]} and {line})")
            else:
                lines[key.value] = line
                yield key.value, self.convert(value, join(path, key.value))
