"""A process that makes one answer for another. In: the settings, a line on standard input. Out: JSON.

Its moment and the policy are told, so that the same store says the same again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Protocol, TypeVar

import msgspec
from threadpoolctl import threadpool_limits

from recsvc.apart import become_child
from recsvc.observability import configure_logging
from recsvc.policy import Policy, load_policy
from recsvc.settings import Settings, load_settings
from recsvc.stores.database import Database, open_database
from recsvc.typed_decoding import decode_json

Q = TypeVar("Q")
Q_co = TypeVar("Q_co", covariant=True)
Q_contra = TypeVar("Q_contra", contravariant=True)


class Asked(Protocol[Q_co]):
    """What the process is told."""

    @property
    def ask(self) -> Q_co: ...

    @property
    def as_of(self) -> datetime: ...

    @property
    def policy_version(self) -> str: ...


class Maker(Protocol[Q_contra]):
    """Makes answers."""

    def answer(self, ask: Q_contra, *, now: datetime) -> object:
        """The answer, which can be said in JSON."""
        ...


def answer_one(kind: type[Asked[Q]], maker: Callable[[Settings, Database, Policy], Maker[Q]]) -> None:
    """Read what is asked from standard input, and write the answer to standard output."""
    asked = decode_json(sys.stdin.buffer.readline(), kind)
    become_child()
    threadpool_limits(1, user_api="blas")
    settings = load_settings()
    configure_logging(settings.log_level)
    policy = policy_of(asked.policy_version, settings)
    with closing(open_database(settings.store_url)) as database:
        answer = maker(settings, database, policy).answer(asked.ask, now=asked.as_of)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


def policy_of(version: str, settings: Settings) -> Policy:
    """The policy that an answer is to be made by. Raises SystemExit: it is no more what the server has."""
    policy = load_policy(settings.policy_file)
    if policy.version != version:
        sys.exit("the policy file was changed since the server began, so no report is made: start it again")
    return policy
