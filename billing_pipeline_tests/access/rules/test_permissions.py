import pytest

from billing_pipeline.access.rules.permissions import RIGHTS, Role, Scope, granted
from billing_pipeline.core.errors import UserError


def test_every_role_has_rights_and_an_admin_has_all() -> None:
    assert set(RIGHTS) == set(Role)
    assert RIGHTS[Role.ADMIN].default == frozenset(Scope)


def test_an_operator_makes_no_tokens_and_loads_no_prices() -> None:
    assert RIGHTS[Role.OPERATOR].all & {Scope.TOKENS, Scope.CHANGE_PRICES} == frozenset()


def test_an_analyst_changes_nothing_and_sees_who_somebody_is_only_where_that_was_granted() -> None:
    assert all(scope.endswith(":read") for scope in granted(Role.ANALYST, ()))
    assert Scope.PERSONAL in granted(Role.ANALYST, ("invoices:read", "personal"))


def test_a_scope_that_a_role_cannot_have_is_refused_with_those_that_it_can() -> None:
    with pytest.raises(UserError, match='scope "tokens": expected one that customer may have: budgets:write, '):
        granted(Role.CUSTOMER, ("tokens",))
    with pytest.raises(UserError, match='scope "everything"'):
        granted(Role.ADMIN, ("everything",))
