"""Tokens: shown once, kept as digests, narrower or shorter but never more than they were made with."""

from datetime import timedelta

import pytest

from billing_pipeline.access.callers import caller_of
from billing_pipeline.access.rules.permissions import RIGHTS, Role, Scope
from billing_pipeline.access.rules.tokens import Token
from billing_pipeline.access.tokens import create_token, list_tokens, revoke_token, rotate_token
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.postgres.invariants.rows import customer, execute, refused

WHO = Signature("ann", "the platform's backend")


def made(warehouse: Warehouse, role: Role = Role.OPERATOR, **options: object) -> Token:
    return create_token(warehouse, role, "platform", WHO, **options)  # type: ignore[arg-type]


def test_a_token_lets_its_owner_in_and_nothing_of_its_secret_is_kept(warehouse: Warehouse) -> None:
    token = made(warehouse)
    caller = caller_of(warehouse, token.text)
    assert caller is not None
    assert (caller.owner, caller.role, caller.customer_id) == ("platform", Role.OPERATOR, None)
    assert caller.scopes == RIGHTS[Role.OPERATOR].default
    kept = warehouse.scalar("SELECT to_jsonb(t)::text FROM billing.api_tokens AS t") + warehouse.scalar(
        "SELECT to_jsonb(l)::text FROM billing.automation_log AS l"
    )
    assert token.secret not in kept
    assert warehouse.rows("SELECT actor, action, object_id, reason FROM billing.automation_log") == [
        {"actor": "ann", "action": "token.create", "object_id": token.token_id, "reason": "the platform's backend"}
    ]


def test_a_changed_secret_an_unknown_id_and_no_token_let_nobody_in(warehouse: Warehouse) -> None:
    token = made(warehouse)
    other = made(warehouse)
    for text in (Token(token.token_id, other.secret).text, Token("0" * 12, token.secret).text, "", token.secret):
        assert caller_of(warehouse, text) is None


def test_the_last_use_is_noted(warehouse: Warehouse) -> None:
    token = made(warehouse)
    assert list_tokens(warehouse)[0]["last_used_at"] is None
    caller_of(warehouse, token.text)
    assert list_tokens(warehouse)[0]["last_used_at"] is not None


def test_a_revoked_token_lets_nobody_in_from_then_on(warehouse: Warehouse) -> None:
    token = made(warehouse)
    assert revoke_token(warehouse, token.token_id, WHO)
    assert caller_of(warehouse, token.text) is None
    assert not revoke_token(warehouse, token.token_id, WHO)
    with pytest.raises(UserError, match='token "000000000000": expected the id of a token, found none'):
        revoke_token(warehouse, "0" * 12, WHO)


def test_a_rotated_token_has_the_rights_of_the_old_one_which_ends_at_once_or_after_a_while(
    warehouse: Warehouse,
) -> None:
    first = made(warehouse, expires_days=30, scopes=("invoices:read",))
    second = rotate_token(warehouse, first.token_id, WHO)
    assert caller_of(warehouse, first.text) is None
    third = rotate_token(warehouse, second.token_id, WHO, grace_hours=2)
    both = [caller_of(warehouse, token.text) for token in (second, third)]
    assert [caller.scopes for caller in both if caller] == [frozenset({Scope.READ_INVOICES})] * 2
    newest, before, oldest = list_tokens(warehouse)
    assert (newest["replaces"], before["replaces"], oldest["state"]) == (second.token_id, first.token_id, "revoked")
    assert newest["expires_at"] == oldest["expires_at"]
    assert newest["expires_at"] - before["expires_at"] > timedelta(days=29)
    with pytest.raises(UserError, match="holds no more"):
        rotate_token(warehouse, first.token_id, WHO)


def test_an_expired_token_lets_nobody_in(warehouse: Warehouse) -> None:
    token = made(warehouse)
    with warehouse.transaction() as connection:
        execute(connection, "UPDATE billing.api_tokens SET expires_at = clock_timestamp()")
    assert caller_of(warehouse, token.text) is None
    assert list_tokens(warehouse)[0]["state"] == "expired"


def test_a_customers_token_needs_its_customer_and_no_other_has_one(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        customer(connection, customer_id="c-1")
    caller = caller_of(warehouse, made(warehouse, Role.CUSTOMER, customer_id="c-1").text)
    assert caller is not None
    assert caller.customer_id == "c-1"
    for role, customer_id, says in (
        (Role.CUSTOMER, None, "a token of role customer: expected the customer that it is for"),
        (Role.ADMIN, "c-1", "a token of role admin: expected no customer"),
        (Role.CUSTOMER, "c-2", 'customer "c-2"'),
    ):
        with pytest.raises(UserError, match=says):
            made(warehouse, role, customer_id=customer_id)


def test_postgres_lets_a_token_become_less_and_never_more(warehouse: Warehouse) -> None:
    made(warehouse, expires_days=1)
    with warehouse.engine.connect() as db:
        as_login(db)  # the pipeline may change none of the first four
        for change in (
            "scopes = '{tokens}'",
            "role = 'admin'",
            "owner = 'bob'",
            r"digest = repeat('\000', 32)::bytea",
            "expires_at = NULL",
            "expires_at = expires_at + INTERVAL '1 day'",
        ):
            with refused(db, "is only revoked, once, or made to expire sooner"):
                execute(db, f"UPDATE billing.api_tokens SET {change}")
        execute(db, "UPDATE billing.api_tokens SET revoked_at = now(), revoked_by = 'ann'")
        with refused(db, "is only revoked, once"):
            execute(db, "UPDATE billing.api_tokens SET revoked_at = NULL, revoked_by = NULL")
        with refused(db, "tokens are revoked, not deleted"):
            execute(db, "DELETE FROM billing.api_tokens")
