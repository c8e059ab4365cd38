"""What a company's own identity provider says of a person, as somebody that the API knows. Pure.

The signature, the issuer, the audience and the expiry were looked at before (access/identity_provider.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from billing_pipeline.access.rules.permissions import RIGHTS, Role
from billing_pipeline.access.rules.tokens import Caller


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Where the claims are; a dot leads into an object (`realm_access.roles`).

    `roles`: what a value of the role claim means here, and no other value means anything; empty: it is the role's name.
    `customer` None: nobody is a customer.
    """

    owner: str = "sub"
    role: str = "billing_role"
    customer: str | None = None
    roles: Mapping[str, Role] = field(default_factory=dict)


def caller_by_claims(claims: Mapping[str, Any], names: ClaimNames) -> Caller | None:
    """Who it is, with the default scopes of the role; of several roles the one that may most. None: nobody here.

    Idempotency keys and rates are kept by person (issuer and subject), not by token, which lives for minutes.
    """
    owner = _at(claims, names.owner)
    role = _role(_at(claims, names.role), names.roles)
    if not isinstance(owner, str) or not owner.strip() or role is None:
        return None
    customer = None
    if role is Role.CUSTOMER:
        customer = _at(claims, names.customer) if names.customer else None
        if not isinstance(customer, str) or not customer:
            return None
    person = sha256(f"{claims['iss']}\n{claims['sub']}".encode()).hexdigest()[:24]
    return Caller(f"oidc-{person}", owner.strip(), role, RIGHTS[role].default, customer)


def _role(claim: Any, meanings: Mapping[str, Role]) -> Role | None:
    values = claim if isinstance(claim, list) else [claim]
    meant = meanings or {role.value: role for role in Role}
    known = {meant.get(value) for value in values if isinstance(value, str)}
    return next((role for role in Role if role in known), None)


def _at(claims: Mapping[str, Any], path: str) -> Any:
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
