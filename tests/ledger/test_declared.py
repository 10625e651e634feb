"""What a released version declares is never altered: each version's lines are kept, and compared."""

import dataclasses
from collections.abc import Callable

import pytest

from ledger import kinds, limits, parameters, policies, rights, versions
from ledger import state as tables
from ledger.codes import InvariantError
from ledger.documents import Rule, Stage
from ledger.events import Watch
from ledger.parameters import Bounds
from ledger.release import FIRST, NEWEST
from testing import declared, version2
from testing.declared import altered, listing, pinned

KEPT = pinned(FIRST).read_text().splitlines()


@pytest.mark.parametrize("version", range(FIRST, NEWEST + 1))
def test_a_version_declares_what_it_declared(version: int) -> None:
    changed = altered(version, pinned(version).read_text().splitlines())
    assert changed == [], (
        f"version {version} is declared otherwise. Nodes of a release with the old lines and nodes with the "
        "new ones would fork. Until release 1.0 version 1 is open: if you meant it, `make record` keeps "
        "the new lines. A version that was released stays as it was: give what is new to the next version, "
        "by its since (CONTRIBUTING.md, Adding to a later version of the protocol)."
    )


def test_a_release_that_knows_version_2_declares_version_1_as_it_was() -> None:
    with version2.known():
        assert altered(1, KEPT) == []
        assert set(listing(2)) > set(listing(1)) - {line for line in listing(1) if " institutions" in line}


def _right() -> None:
    held = rights.RIGHTS[rights.OFFER_TAKE]
    rights._declared[rights.OFFER_TAKE] = dataclasses.replace(held, service=True)


def _first_value() -> None:
    parameters._declared["idle_ms"] = (dataclasses.replace(parameters.BOUNDS["idle_ms"][0], first=999),)


def _watched() -> None:
    number = tables.NUMBERS["vasps"]
    spec = tables.TABLES[number]
    watches = ((FIRST, Watch((*spec.watched_fields, "accounts"))),)
    tables._declared[number] = dataclasses.replace(spec, watches=watches)


def _policy() -> None:
    policies.DEFAULT_POLICIES[1] = {**policies.DEFAULT_POLICIES[1], "freeze": (Rule.ALL_OF, ("mof",))}


def _kind() -> None:
    kinds.declare(dataclasses.replace(version2.GREET, number=9_001, name="greeted", since=FIRST))


ALTERATIONS: list[tuple[str, Callable[[], None]]] = [
    ("- right offer_take", _right),
    ("- parameter idle_ms", _first_value),
    ("- watched 6 vasps", _watched),
    ("- policy freeze", _policy),
    ("+ kind 9001 greeted", _kind),
]


@pytest.mark.parametrize(("line", "alter"), ALTERATIONS, ids=[line for line, _ in ALTERATIONS])
def test_whoever_alters_an_earlier_version_sees_the_line(line: str, alter: Callable[[], None]) -> None:
    with version2.known():
        alter()
        versions._rules.clear()
        assert any(changed.startswith(line) for changed in altered(1, KEPT))


def test_a_limit_or_an_order_that_is_another_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert altered(1, [KEPT[1], KEPT[0], *KEPT[2:]]) != []
    monkeypatch.setattr(limits, "NODES_MAX", 129)
    with version2.known():
        assert "- limit NODES_MAX 128" in altered(1, KEPT)


# --- what a later version has otherwise, it declares since itself


@pytest.mark.usefixtures("version_2")
def test_a_later_version_has_other_bounds_of_a_parameter_and_the_earlier_keeps_its_own() -> None:
    was = parameters.bounds_at(1)["aml_registered_services"]
    rights._declared["greet"] = rights.Right((Stage.LICENSED,), rights.CATEGORIES, service=True, since=2)
    parameters.declare("aml_registered_services", dataclasses.replace(was, names=rights.services(2), since=2))
    first, second = parameters.bounds_at(1), parameters.bounds_at(2)
    assert (first.keys() <= second.keys(), list(first) == list(second)[: len(first)]) == (True, True)
    assert first["aml_registered_services"].refusal(("greet",)) is not None
    assert second["aml_registered_services"].refusal(("greet",)) is None
    assert altered(1, KEPT) == []
    with pytest.raises(InvariantError, match="declared already for version 2"):
        parameters.declare("aml_registered_services", dataclasses.replace(was, since=2))
    with pytest.raises(InvariantError, match="declared already for version 1"):
        parameters.declare("idle_ms", Bounds(1, 1, 1, (), ""))


@pytest.mark.usefixtures("version_2")
def test_a_later_version_has_another_default_policy_and_the_earlier_keeps_its_own() -> None:
    policies.DEFAULT_POLICIES[3] = {"greet": (Rule.ALL_OF, ("mof",)), "freeze": (Rule.ALL_OF, ("mof",))}
    assert policies.default_policies_at(2)["greet"][0] is Rule.ANY_ONE_OF
    assert policies.default_policies_at(3)["greet"][0] is Rule.ALL_OF
    assert list(policies.default_policies_at(3)) == list(policies.default_policies_at(2))
    assert altered(1, KEPT) == []


def test_a_refusal_does_not_quote_a_list_that_may_grow() -> None:
    services = parameters.bounds_at(1)["aml_registered_services"]
    refused = services.refusal(("nothing",))
    assert refused is not None
    assert refused.values == ("nothing", 0)


def test_the_lines_say_types_to_the_last_bound() -> None:
    assert (
        declared.shape(version2.Greet)
        == "{host: int[ge=0 le=4294967294], text: str[min_length=1 max_length=64]}"
    )
