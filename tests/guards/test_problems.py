"""Every error that a request can meet has a row in the API's table of problems."""

from __future__ import annotations

from collections.abc import Iterator

from recsvc.api.problems import PROBLEMS
from recsvc.errors import RecsvcError, RedisError, RequestError, StoreError


def family_of(error: type[RecsvcError]) -> Iterator[type[RecsvcError]]:
    """The error and everything below it."""
    yield error
    for child in error.__subclasses__():
        yield from family_of(child)


def test_every_error_that_a_request_can_meet_is_a_problem_of_its_own() -> None:
    met = {error for top in (RequestError, StoreError, RedisError) for error in family_of(top)}
    without = {
        error.__name__
        for error in met - {RequestError}
        if not any(ancestor in PROBLEMS for ancestor in error.__mro__ if ancestor is not RecsvcError)
    }
    assert without == set()
