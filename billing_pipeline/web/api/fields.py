"""Types that many answers share. They describe; what makes the values is `core/shapes.py`."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model


class Shown(BaseModel):
    """What is shown has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class Amount(Shown):
    """An amount of money."""

    amount_minor: int = Field(description="In minor units of the currency: compute with this.", examples=[101000])
    currency: str = Field(description="ISO 4217, in lower case.", examples=["usd"])
    display: str = Field(description="For people.", examples=["1,010.00 USD"])


class Asked(BaseModel):
    """What is asked for: a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


MONTH_PATTERN = r"^[1-9][0-9]{3}-(0[1-9]|1[0-2])$"
MonthText = Annotated[str, Field(pattern=MONTH_PATTERN, description="A billing month.", examples=["2026-10"])]
Instant = Annotated[str, Field(description="ISO 8601 in UTC.", examples=["2026-11-01T12:00:00.000000Z"])]
Day = Annotated[str, Field(description="A day in the customer's zone.", examples=["2026-10-31"])]
Exact = Annotated[str, Field(description="An exact number.", examples=["0.015"])]
Currency = Annotated[str, Field(description="ISO 4217, in lower case.", examples=["usd"])]
CustomerId = Annotated[
    str, Field(min_length=1, max_length=255, description="The platform's id of a customer.", examples=["cust_focus"])
]
Reason = Annotated[
    str,
    Field(min_length=1, max_length=2000, description="Why; kept in the audit log.", examples=["billed twice"]),
]
NextCursor = Annotated[
    str | None, Field(description="Where the next page begins; null: this is the last.", examples=[None])
]


def shown(name: str, text: str, /, **fields: tuple[Any, str, Any]) -> type[Shown]:
    """A model of what is shown, as a table: field -> type, meaning, example."""
    made: dict[str, Any] = {
        field: (kind, Field(description=meaning, examples=[example]))
        for field, (kind, meaning, example) in fields.items()
    }
    return create_model(name, __base__=Shown, __doc__=text, **made)


def many(row: type[Shown]) -> Any:
    """The type of a list of such rows, for a table."""
    return list[row]  # type: ignore[valid-type]


def listed_as(key: str, command: str) -> type[Shown]:
    """A model of a page of rows that a command prints too, where docs/commands.md says what is in them."""
    name = key.title().replace("_", "")
    return shown(
        f"{name}Page",
        f"Rows of `{command} --json`, and where the next ones are.",
        **{
            key: (list[dict[str, Any]], "The rows; docs/commands.md names their keys.", []),
            "next_cursor": (str | None, "Where the next page begins; null: this is the last.", None),
        },
    )


def listed(name: str, key: str, row: type[Shown]) -> type[Shown]:
    """A model of a page of rows."""
    return shown(
        name,
        "Rows, and where the next ones are.",
        **{
            key: (many(row), "The rows.", []),
            "next_cursor": (str | None, "Where the next page begins; null: this is the last.", None),
        },
    )
