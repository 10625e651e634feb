"""From one declared function follow the query, the reply, the answer, and the methods of both clients."""

from types import SimpleNamespace
from typing import Any

import pytest

from api.declare import Question, Read, ReadFrom, read, read_log
from api.fields import Height, Index, Limit, Shown
from api.objects import FieldFault, from_params, schema
from api.reads import READS, Reads
from api.sources import View
from client.blocking import Client
from client.rpc import AsyncClient
from primitives.codec import pack, unpack


class Answer(Shown, frozen=True):
    """What a test is told."""

    height: Height
    sum: int


class Toys:
    @read
    def toy_get(view: View, toy: Index, limit: Limit = 7) -> Answer:
        """One toy.

        And more about it.
        """
        return Answer(height=view.height, sum=toy + limit)

    @read_log
    def toy_log(view: View) -> Answer:
        """All toys of the past."""
        return Answer(height=view.height, sum=0)


class Caller(Toys):
    """Keeps what it is asked, as a client would send it."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    def bound(self, declared: Read[Any, Any]) -> Any:
        return lambda *args, **kwargs: self.asked.append(declared.question(*args, **kwargs))


def test_the_parameters_are_the_query_with_their_bounds_and_defaults() -> None:
    declared = Toys.toy_get
    assert (declared.name, declared.source, Toys.toy_log.source) == ("toy_get", ReadFrom.STATE, ReadFrom.LOG)
    assert declared.description == "One toy.\n\nAnd more about it."
    assert schema(declared.query)["required"] == ["toy"]
    assert from_params({"toy": 3}, declared.query) == declared.question(3, limit=7)
    with pytest.raises(FieldFault, match="limit"):
        from_params({"toy": 3, "limit": 0}, declared.query)


def test_a_question_comes_back_from_its_bytes_and_is_answered_by_the_function() -> None:
    question = Toys.toy_get.question(3, limit=2)
    received = unpack(pack(question), Toys.toy_get.query, 100)
    assert (received, received.method) == (question, "toy_get")
    assert Toys.toy_get.answer(SimpleNamespace(height=9), received) == Answer(height=9, sum=5)


def test_a_read_is_a_method_of_whoever_asks() -> None:
    caller: Any = Caller()
    caller.toy_get(3, limit=4)
    caller.toy_log()
    assert caller.asked == [Toys.toy_get.question(3, 4), Toys.toy_log.question()]


def test_every_read_is_a_method_of_both_clients_under_its_functions_name() -> None:
    for declared in READS.values():
        name = declared.function.__name__
        for client in (Reads, AsyncClient, Client):
            assert getattr(client, name) is declared
        assert declared.name.replace("Many", "_many") == name


def test_two_reads_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from api import reads

    class Twice:
        @read
        def holding_get(view: View) -> Answer:
            """Another one of that name."""
            return Answer(height=view.height, sum=0)

    monkeypatch.setattr(reads, "Reads", type("Reads", (*Reads.__bases__, Twice), {}))
    with pytest.raises(TypeError, match="holding_get"):
        reads._by_name()
