"""What gRPC is told to do on its own."""

import json

from tandem_client.caller import METHODS
from tandem_proto.catalogue import methods
from tandem_proto.channel import service_config


def repeated() -> set[str]:
    return {name["method"] for entry in json.loads(service_config())["methodConfig"] for name in entry["name"]}


def test_every_unary_call_is_repeated_and_no_stream() -> None:
    assert repeated() == {method.name for method in methods() if method.unary}
    assert "PullOrders" not in repeated()


def test_only_what_a_stopping_server_answers_is_repeated() -> None:
    policies = [entry["retryPolicy"] for entry in json.loads(service_config())["methodConfig"]]
    assert [policy["retryableStatusCodes"] for policy in policies] == [["UNAVAILABLE", "CANCELLED"]]


def test_what_the_contract_does_not_call_harmless_to_repeat_carries_a_key() -> None:
    keyed = {method.name for method in METHODS.values() if method.needs_key}
    assert keyed == {method.name for method in methods() if method.unary and not method.repeatable}
    assert "UpdateCustomer" in keyed
    assert "LeaseOrders" not in keyed
