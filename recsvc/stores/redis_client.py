"""Speak with Redis without ever waiting long. In: a URL, a timeout. Out: a client that rests after a failure.

redis-py would wait 5 seconds and try ten more times; on a request there is time for one short try.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.connection import BlockingConnectionPool, parse_url
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from recsvc.errors import RedisError
from recsvc.stores.breaker import Breaker
from recsvc.stores.redis_asking import AskedRedis
from recsvc.stores.redis_reading import Answer, read_each

COOL_DOWN_SECONDS = 1.0
_MAX_CONNECTIONS = 64  # More than a worker has threads.

T = TypeVar("T")
Word = str | bytes | int


def make_client(url: str, timeout_seconds: float) -> Any:
    """A `redis.Redis`, safe between threads, that waits at most the timeout to connect and again to read.

    Raises:
        RedisError: the URL cannot be used. It is not repeated, for it may hold a password.
    """
    options = {
        # Options of the URL come first: none may bring retries or long waits back.
        **_parse(url),
        "max_connections": _MAX_CONNECTIONS,
        "timeout": timeout_seconds,
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "health_check_interval": 0,
        "decode_responses": False,
        # RESP2 and no driver name: a new connection sends no HELLO and no CLIENT SETINFO before its work.
        "protocol": 2,
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    try:
        make_pool: Any = BlockingConnectionPool  # redis-py leaves its constructor untyped.
        pool = make_pool(**options)
        # Connects to nothing, but refuses an option of the URL that would else only fail on a request.
        pool.connection_class(**pool.connection_kwargs)
        return redis.Redis.from_pool(pool)
    except (TypeError, ValueError, redis.RedisError):
        pass
    raise _unusable_url()


def place_of(url: str) -> str:
    """Where a Redis URL points, without user and password: fit for texts and logs. Raises RedisError."""
    options = _parse(url)
    return str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}")


class RestingRedis:
    """A client that leaves a failing Redis alone for a moment.

    After a failure to connect or to answer, or after several answers in a row that took half the timeout or
    more for each command, every call is refused at once for `cool_down_seconds`; then one call tries, while
    the others go on being refused. So a Redis that hangs or drags costs one short wait a second.
    """

    def __init__(
        self,
        url: str,
        timeout_seconds: float,
        *,
        monotonic: Callable[[], float],
        cool_down_seconds: float = COOL_DOWN_SECONDS,
    ) -> None:
        """Connects to nothing yet. Raises RedisError where the URL cannot be used."""
        self._client = make_client(url, timeout_seconds)
        self._place = place_of(url)
        self._monotonic = monotonic
        self._breaker = Breaker(timeout_seconds / 2, cool_down_seconds, monotonic=monotonic)
        self._asked = AskedRedis(
            self._new_connection, self._breaker, timeout_seconds, cool_down_seconds, monotonic=monotonic
        )
        self._own = threading.local()
        self._owned: weakref.WeakSet[Any] = weakref.WeakSet()  # A thread that ends ends its connection.

    def command(self, *words: Word) -> Any:
        """The answer to one command.

        Raises:
            RedisError: Redis failed, refused, or rests after a failure.
        """
        return self._ask(lambda: self._client.execute_command(*words))

    def read(self, *words: Word) -> Any:
        """The answer to one command that changes nothing, on a connection of the thread's own.

        It costs a third of what `command` does: nothing is borrowed and given back, nothing is looked up.

        Raises:
            RedisError: Redis failed, refused, or rests after a failure.
        """
        return self._ask(lambda: self._read((words,)))[0]

    def put(self, *words: Word) -> None:
        """Have one command done that may be sent twice to the same end, in the way of `read`.

        Raises:
            RedisError: Redis failed, refused, or rests after a failure.
        """
        self._ask(lambda: self._read((words,)))

    def read_each(self, *commands: tuple[Word, ...]) -> list[Any]:
        """The answers to commands that change nothing, in the way of `read`, in one round trip.

        Raises:
            RedisError: Redis failed, refused one of them, or rests after a failure.
        """
        return self._ask(lambda: self._read(commands), len(commands) or 1)

    def ask(self, *words: str, heard: Callable[[Answer], object]) -> bool:
        """Ask what `read` asks, without waiting; whether `heard` will be told the answer, on another thread.

        It is told None where there is none, for whatever reason: `read` says for which. Where nothing can be
        asked so, now or ever, it is never told.
        """
        return self._asked.ask(words, heard)

    def transaction(self, *commands: tuple[Word, ...]) -> list[Any]:
        """The answers to commands that run together, with nothing between them, in one round trip.

        Raises:
            RedisError: Redis failed, refused one of them, or rests after a failure.
        """

        return self._ask(lambda: self._run(commands, together=True), len(commands) or 1)

    def pipeline(self, *commands: tuple[Word, ...]) -> list[Any]:
        """The answers to commands that are sent together, in one round trip; others may come between.

        Raises:
            RedisError: Redis failed, refused one of them, or rests after a failure.
        """
        return self._ask(lambda: self._run(commands, together=False), len(commands) or 1)

    def count_rests(self) -> int:
        """How often Redis was left alone so far."""
        return self._breaker.n_openings

    def is_resting(self) -> bool:
        """Whether Redis is left alone now."""
        return self._breaker.is_open

    def ping(self) -> None:
        """Return when Redis answers. Raises RedisError."""
        self.command("PING")

    def close(self) -> None:
        """Close every connection."""
        self._asked.close()
        for connection in list(self._owned):
            connection.disconnect()
        self._client.close()

    def _new_connection(self) -> Any:
        pool = self._client.connection_pool
        return pool.connection_class(**pool.connection_kwargs)

    def _read(self, commands: Sequence[tuple[Word, ...]]) -> list[Any]:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._new_connection()
            self._owned.add(connection)
        was_used = connection.is_connected
        try:
            return read_each(connection, commands, monotonic=self._monotonic)
        except redis.ConnectionError:
            # One that Redis closed since it was last used, as after a restart, says nothing about Redis now.
            if not was_used:
                raise
        return read_each(connection, commands, monotonic=self._monotonic)

    def _run(self, commands: Sequence[tuple[Word, ...]], *, together: bool) -> list[Any]:
        with self._client.pipeline(transaction=together) as pipeline:
            for words in commands:
                pipeline.execute_command(*words)
            return list(pipeline.execute())

    def _ask(self, call: Callable[[], T], n_commands: int = 1) -> T:
        if not self._breaker.lets_through():
            raise RedisError(f"Redis at {self._place} did not answer a moment ago: asked again soon")
        began = self._monotonic()
        try:
            answer = call()
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            self._breaker.note_failure()
            said = error if isinstance(error, redis.AuthenticationError) else type(error).__name__
            raise RedisError(
                f"Redis at {self._place} does not answer ({said}): "
                "check that it runs and that REDIS_URL is right"
            ) from error
        except redis.RedisError as error:
            # It answered, if only to refuse (out of memory, read-only): nothing to wait for.
            self._breaker.note_answer((self._monotonic() - began) / n_commands)
            raise RedisError(
                f"Redis at {self._place} refuses ({error}): check its memory limit, role and rights"
            ) from error
        self._breaker.note_answer((self._monotonic() - began) / n_commands)
        return answer


def _parse(url: str) -> dict[str, object]:
    try:
        parse: Any = parse_url
        return dict(parse(url))
    except (ValueError, TypeError):
        pass
    raise _unusable_url()


def _unusable_url() -> RedisError:
    return RedisError(
        "REDIS_URL cannot be used: write redis://host:6379/0, rediss://host:6379/0 or unix:///path/to.sock"
    )
