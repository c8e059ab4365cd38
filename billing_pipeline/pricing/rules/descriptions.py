"""The text of a line item: a price's template filled with dimension values, or the meter's name.

Here: what the customer reads. Not here: which lines exist, or when a template is wrong (`price_book_reader`).
"""

import json
import re
from collections.abc import Mapping

_PIECE = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}|[{}]", re.ASCII)


def placeholders(template: str) -> list[str]:
    """The names in braces, in order; `{{` and `}}` are literal. Raises ValueError for any other brace."""
    names = []
    for match in _PIECE.finditer(template):
        if match[1]:
            names.append(match[1])
        elif len(match[0]) == 1:
            raise ValueError(f"a brace at character {match.start() + 1} that holds no dimension's name")
    return names


def fill(template: str, dimensions: Mapping[str, str]) -> str:
    """The template with the dimensions' values; braces inside a value stay as they are.

    A name without a value stays in its braces: the line must be billed, and the gap must be seen.
    """

    def piece(match: re.Match[str]) -> str:
        return dimensions.get(match[1], match[0]) if match[1] else match[0][0]

    return _PIECE.sub(piece, template)


def default_description(meter: str, dimensions: Mapping[str, str]) -> str:
    """`Storage gb`, `Clusters (small, production)`: values in the order jsonb prints their names."""
    title = meter.replace("_", " ")
    title = title[:1].upper() + title[1:]
    values = ", ".join(dimensions[name] for name in jsonb_order(dimensions))
    return f"{title} ({values})" if values else title


def bound_description(kind: str, meter: str, dimensions: Mapping[str, str]) -> str:
    """The line that lifts a meter's charge, or that of one combination, to the minimum, or lowers it to the maximum."""
    values = ", ".join(dimensions[name] for name in jsonb_order(dimensions))
    return f"{kind.capitalize()} for {meter.replace('_', ' ')}" + (f" ({values})" if values else "")


def fee_description(text: str, tier_no: int) -> str:
    """The line of a tier's flat amount, behind the text of the tier's line."""
    return f"{text}: flat fee of tier {tier_no + 1}"


def jsonb_order(names: Mapping[str, str]) -> list[str]:
    """Keys as PostgreSQL's jsonb orders them: shorter first, then by bytes."""
    return sorted(names, key=lambda name: (len(name.encode()), name.encode()))


def dimensions_text(dimensions: Mapping[str, str]) -> str:
    """The text PostgreSQL prints for this jsonb: `{"size": "small", "environment": "production"}`."""
    return json.dumps({name: dimensions[name] for name in jsonb_order(dimensions)}, ensure_ascii=False)
