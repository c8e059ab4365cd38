"""Stripe objects as JSON documents in SQLite: insert, replace, fetch, page. No billing rules.

Nothing is kept in memory, so several processes may serve one file.
"""

from __future__ import annotations

import json
import os
import sqlite3
import string
from collections.abc import Sequence
from typing import Any

from .errors import invalid, missing
from .indexing import Body, columns

_ALPHABET = string.ascii_letters + string.digits
PAGE_MAX = 100

Filter = tuple[str, Any]
"""An SQL condition and its argument, as ``("created >= ?", 5)``; a tuple fills several placeholders."""


def _arguments(filters: Sequence[Filter]) -> list[Any]:
    values: list[Any] = []
    for _, value in filters:
        if isinstance(value, tuple):
            values.extend(value)
        else:
            values.append(value)
    return values


def dumps(value: Any) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def new_id(prefix: str, length: int = 24) -> str:
    """A fresh id such as ``in_1…`` that never repeats, whatever was deleted before."""
    return prefix + "_" + "".join([_ALPHABET[byte % 62] for byte in os.urandom(length)])


class Store:
    """The documents behind one connection. Call inside a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def insert(self, body: Body, *, private: Body | None = None, created: int | None = None) -> str:
        """Add an object; returns its JSON."""
        text = dumps(body)
        at = created if created is not None else int(body["created"] if "created" in body else body["date"])
        self.connection.execute(
            "INSERT INTO objects(id, kind, created, customer, parent, status, tag, due_at, body, private)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (body["id"], body["object"], at, *columns(body), text, dumps(private) if private else None),
        )
        return text

    def insert_raw(self, object_id: str, kind: str, created: int, tag: str, text: str) -> None:
        """Add an object whose JSON is ready and that is filtered by kind, time and tag only (events)."""
        self.connection.execute(
            "INSERT INTO objects(id, kind, created, tag, body) VALUES (?, ?, ?, ?, ?)",
            (object_id, kind, created, tag, text),
        )

    def replace(self, body: Body) -> str:
        """Write back a changed object; returns its JSON."""
        text = dumps(body)
        self.connection.execute(
            "UPDATE objects SET customer = ?, parent = ?, status = ?, tag = ?, due_at = ?, body = ? WHERE id = ?",
            (*columns(body), text, body["id"]),
        )
        return text

    def bury(self, body: Body) -> None:
        """Leave a tombstone: the id answers ``deleted: true`` and no list shows it again."""
        tombstone = {"id": body["id"], "object": body["object"], "deleted": True}
        self.connection.execute(
            "UPDATE objects SET kind = kind || ':deleted', body = ?, due_at = NULL WHERE id = ?",
            (dumps(tombstone), body["id"]),
        )

    def delete(self, object_id: str) -> None:
        """Forget an object and, for an invoice, its lines."""
        self.connection.execute(
            "DELETE FROM objects WHERE id = ? OR (kind = 'line_item' AND parent = ?)", (object_id,) * 2
        )

    def text(self, kind: str, object_id: str, param: str = "id", *, tombstones: bool = False) -> str:
        """The object's JSON, or Stripe's `resource_missing`."""
        row = self.connection.execute("SELECT kind, body FROM objects WHERE id = ?", (object_id,)).fetchone()
        if row is None or not (row[0] == kind or (tombstones and row[0] == f"{kind}:deleted")):
            raise missing(kind, object_id, param)
        return str(row[1])

    def get(self, kind: str, object_id: str, param: str = "id", *, tombstones: bool = False) -> Body:
        """The object, or Stripe's `resource_missing`."""
        body: Body = json.loads(self.text(kind, object_id, param, tombstones=tombstones))
        return body

    def private(self, object_id: str) -> Body:
        """What Stripe knows about the object but never returns."""
        row = self.connection.execute("SELECT private FROM objects WHERE id = ?", (object_id,)).fetchone()
        return json.loads(row[0]) if row and row[0] else {}

    def set_private(self, object_id: str, private: Body) -> None:
        """Replace the object's private part."""
        self.connection.execute("UPDATE objects SET private = ? WHERE id = ?", (dumps(private), object_id))

    def schedule(self, object_id: str, due_at: int) -> None:
        """Let the clock come back to the object at a time; writing the object again takes the date away."""
        self.connection.execute("UPDATE objects SET due_at = ? WHERE id = ?", (due_at, object_id))

    def find(self, kind: str, *filters: Filter, newest_first: bool = False) -> list[Body]:
        """All objects of a kind that pass the filters, oldest first unless told otherwise."""
        where = "".join(f" AND {condition}" for condition, _ in filters)
        order = "DESC" if newest_first else "ASC"
        rows = self.connection.execute(
            f"SELECT body FROM objects WHERE kind = ?{where} ORDER BY created {order}, seq {order}",
            (kind, *_arguments(filters)),
        )
        return [json.loads(row[0]) for row in rows]

    def count(self, kind: str, *filters: Filter) -> int:
        """How many objects of a kind pass the filters."""
        where = "".join(f" AND {condition}" for condition, _ in filters)
        arguments = (kind, *_arguments(filters))
        row = self.connection.execute(f"SELECT count(*) FROM objects WHERE kind = ?{where}", arguments).fetchone()
        return int(row[0])

    def page(
        self, kind: str, filters: Sequence[Filter], params: Body, *, oldest_first: bool = False
    ) -> tuple[list[str], bool]:
        """One page as Stripe cuts it, newest first: the objects' JSON and whether more follow.

        ``oldest_first`` is for invoice lines, which Stripe lists in the order they were added.
        """
        limit = params.get("limit", 10)
        if not 1 <= limit <= PAGE_MAX:
            raise invalid(f"Invalid limit: must be between 1 and {PAGE_MAX}", param="limit")
        after, before = params.get("starting_after"), params.get("ending_before")
        if after and before:
            raise invalid("You may only specify one of these parameters: ending_before, starting_after.")
        conditions = ["kind = ?", *(condition for condition, _ in filters)]
        arguments = [kind, *_arguments(filters)]
        backwards = before is not None
        cursor, name = (before, "ending_before") if backwards else (after, "starting_after")
        ascending = oldest_first != backwards
        if cursor is not None:
            row = self.connection.execute(
                "SELECT created, seq FROM objects WHERE id = ? AND kind IN (?, ?)",
                (cursor, kind, f"{kind}:deleted"),
            ).fetchone()
            if row is None:
                raise missing(kind, cursor, name)
            conditions.append(f"(created, seq) {'>' if ascending else '<'} (?, ?)")
            arguments.extend(row)
        order = "ASC" if ascending else "DESC"
        rows = self.connection.execute(
            f"SELECT body FROM objects WHERE {' AND '.join(conditions)} ORDER BY created {order}, seq {order} LIMIT ?",
            (*arguments, limit + 1),
        ).fetchall()
        texts = [str(row[0]) for row in rows[:limit]]
        return (texts[::-1] if backwards else texts), len(rows) > limit
