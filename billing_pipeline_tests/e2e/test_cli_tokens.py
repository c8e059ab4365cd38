import json
import re

from billing_pipeline_tests.commands import refused, said
from billing_pipeline_tests.events.world import EventWorld


def test_a_token_is_made_alone_on_stdout_listed_without_its_secret_rotated_and_revoked(world: EventWorld) -> None:  # noqa: ARG001
    token = said("tokens", "create", "--role", "operator", "--owner", "support", "--expires", "30")
    assert re.fullmatch(r"bil_[0-9a-f]{12}_[\w-]{43}", token)
    token_id = token.split("_")[1]
    [listed] = json.loads(said("tokens", "list", "--json"))["tokens"]
    assert (listed["token_id"], listed["owner"], listed["state"]) == (token_id, "support", "active")
    assert token.split("_", 2)[2] not in json.dumps(listed)
    rotated = said("tokens", "rotate", token_id, "--reason", "yearly")
    assert rotated.split("_")[1] != token_id
    assert said("tokens", "revoke", rotated.split("_")[1], "--reason", "lost").endswith("lets nobody in any more")
    assert (
        refused("tokens", "rotate", token_id, "--reason", "x") == f'token "{token_id}" holds no more: make another one'
    )
    assert refused("tokens", "create", "--role", "customer", "--owner", "x").endswith("the customer that it is for")
