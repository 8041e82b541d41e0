"""What gRPC is told to do on its own."""

import json

from tandem_client.caller import KEYED
from tandem_proto.catalogue import methods
from tandem_proto.channel import service_config


def repeated() -> set[str]:
    return {name["method"] for entry in json.loads(service_config())["methodConfig"] for name in entry["name"]}


def test_what_the_contract_calls_harmless_is_repeated_and_nothing_else() -> None:
    assert repeated() == {method.name for method in methods() if method.unary and method.repeatable}


def test_neither_a_lease_nor_a_pull_nor_an_update_is_repeated() -> None:
    assert repeated().isdisjoint({"LeaseOrders", "PullOrders", "UpdateCustomer"})


def test_only_unavailable_is_repeated() -> None:
    policies = [entry["retryPolicy"] for entry in json.loads(service_config())["methodConfig"]]
    assert [policy["retryableStatusCodes"] for policy in policies] == [["UNAVAILABLE"]]


def test_a_unary_call_is_either_repeatable_or_keyed() -> None:
    keyed = {method.name for method in methods() if method.request in KEYED}
    assert keyed == {method.name for method in methods() if method.unary} - repeated()
