"""Batches of cells, and the rules of imports/rules/fields.py applied to them a column at a time.

Here: how a rule for one cell becomes a fast check of a column that still knows the line of each bad cell. Not
here: the rules, the formats.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import pyarrow as pa
import pyarrow.compute as pc

from billing_pipeline.imports.problems import ProblemList
from billing_pipeline.imports.rules.fields import Field

Texts: TypeAlias = "pa.StringArray"
Mask: TypeAlias = "pa.BooleanArray"


@dataclass(frozen=True)
class Batch:
    """Some rows of a file as text: the line of each, and for every field a column without nulls (blank: "")."""

    lines: Sequence[int]
    columns: dict[str, Texts]


def text_batch(names: Sequence[str], lines: list[int], rows: Sequence[Sequence[str]], problems: ProblemList) -> Batch:
    """Rows of Python texts as a batch; a row with text that is no UTF-8 is a problem and left out."""
    try:
        return Batch(lines, _transposed(names, rows))
    except UnicodeEncodeError:
        good = [index for index, row in enumerate(rows) if _is_utf8(names, row, lines[index], problems)]
        return Batch([lines[index] for index in good], _transposed(names, [rows[index] for index in good]))


def _transposed(names: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, Texts]:
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return {name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)}


def _is_utf8(names: Sequence[str], row: Sequence[str], line: int, problems: ProblemList) -> bool:
    for name, value in zip(names, row, strict=True):
        try:
            value.encode()
        except UnicodeEncodeError:
            problems.add(line, name, value, "UTF-8 text")
            return False
    return True


def checked(batch: Batch, fields: Sequence[Field], problems: ProblemList) -> pa.Table:
    """The batch with canonical spellings, and `line`; rows with a problem are left out.

    A column that the file does not have is blank.
    """
    good: Mask | None = None
    columns: dict[str, pa.Array[Any]] = {"line": pa.array(batch.lines, pa.int64())}
    for field in fields:
        values = batch.columns.get(field.name)
        if values is None:
            values = pa.repeat(field.rule(""), len(batch.lines))
        else:
            values = _canonical(values, field, batch.lines, problems)
            if values.null_count:
                good = values.is_valid() if good is None else pc.and_(good, values.is_valid())
        columns[field.name] = values
    table = pa.table(columns)
    return table if good is None else table.filter(good)


def _canonical(values: Texts, field: Field, lines: Sequence[int], problems: ProblemList) -> Texts:
    """The column in canonical spelling, null where the cell breaks the rule."""
    if field.plain is None:
        return _by_value(values, field, lines, problems)
    plain = pc.match_substring_regex(values, field.plain)
    if (pc.max(pc.binary_length(values)).as_py() or 0) > field.plain_length_max:
        plain = pc.and_(plain, pc.less_equal(pc.binary_length(values), pa.scalar(field.plain_length_max, pa.int32())))
    if pc.all(plain).as_py() is not False:
        return values
    odd = pc.invert(plain)
    odd_lines = cast(list[int], pa.array(lines, pa.int64()).filter(odd).to_pylist())
    ruled = _by_value(values.filter(odd), field, odd_lines, problems)
    return cast(Texts, pc.replace_with_mask(values, odd, ruled))


def _by_value(values: Texts, field: Field, lines: Sequence[int], problems: ProblemList) -> Texts:
    """Every distinct value through the rule once."""
    encoded = values.dictionary_encode()
    distinct = cast(list[str], encoded.dictionary.to_pylist())
    canonical: list[str | None] = []
    expected: dict[int, str] = {}
    for index, value in enumerate(distinct):
        try:
            canonical.append(field.rule(value))
        except ValueError as error:
            canonical.append(None)
            expected[index] = str(error)
    if expected:
        indices = cast(list[int], encoded.indices.to_pylist())
        for line, index in zip(lines, indices, strict=True):
            if index in expected:
                problems.add(line, field.name, distinct[index], expected[index])
    return pa.array(canonical, pa.string()).take(encoded.indices)
