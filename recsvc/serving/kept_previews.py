"""Who makes previews. In: a version beside a champion. Out: its preview, or when to ask again.

Another process does, once for all workers of a server; what came of it counts while the champion and the
policy are those that it was asked for. It is of the catalogue as it was then, and says which: were it made
anew with each change, none would ever be there where something changes every second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from recsvc.kept_answers import WAIT_SECONDS, KeptAnswers, Place, name_of, usable
from recsvc.serving.preview import Preview
from recsvc.serving.preview_making import PreviewAnswer, PreviewAsk, PreviewMaker
from recsvc.typed_decoding import decode_json

MOST_SECONDS = 600.0


class PreviewAsked(msgspec.Struct, frozen=True):
    """What the other process is told: the preview is of the moment `as_of`, by the policy of that version."""

    ask: PreviewAsk
    as_of: datetime
    policy_version: str


class Previews(Protocol):
    """Has previews made."""

    def preview(self, ask: PreviewAsk, place: Place) -> Preview:
        """The preview. `place` is held while it is made here, or waited for.

        Raises:
            BundleRefusedError: the version fails the full check.
            ReportNotReadyError: it is being made, or could not be; it is made anew for who asks again.
            BundleError, StoreError: it cannot be told.
        """
        ...

    def stop(self) -> None:
        """End what was begun."""
        ...


class PreviewsHere:
    """Makes previews in the process that asks."""

    def __init__(self, maker: PreviewMaker, *, clock: Callable[[], datetime]) -> None:
        self._maker = maker
        self._clock = clock

    def preview(self, ask: PreviewAsk, place: Place) -> Preview:
        """As `Previews` says; it is never being made."""
        with place:
            return self._maker.answer(ask, now=self._clock()).or_refusal()

    def stop(self) -> None:
        """Nothing goes on in the background."""


class PreviewsApart:
    """Has a process make previews."""

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        policy_version: str,
        last_erasure: Callable[[], int],
        store: str,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        """`command` reads `PreviewAsked` from its standard input, and writes a `PreviewAnswer`.

        `store` tells one store and shelf from others: previews of several may come to stand in one folder.
        """
        self._policy_version = policy_version
        self._store = store
        self._clock = clock
        self._kept = KeptAnswers(
            folder,
            command,
            partial(decode_json, kind=PreviewAnswer),
            last_erasure,
            monotonic=monotonic,
            wait_seconds=wait_seconds,
            most_seconds=MOST_SECONDS,
        )

    def preview(self, ask: PreviewAsk, place: Place) -> Preview:
        """As `Previews` says."""
        name = name_of("preview", self._store, self._policy_version, ask)
        found = self._kept.find(name)
        if found is None:
            with place:
                found = self._kept.wait_for(name, lambda: self._asked(ask))
        return found.or_refusal()

    def stop(self) -> None:
        """End the preview that is being made, if this process has it made."""
        self._kept.stop()

    def _asked(self, ask: PreviewAsk) -> bytes:
        return msgspec.json.encode(PreviewAsked(ask, self._clock(), self._policy_version))


def previews_in(
    folder: Path | None,
    maker: PreviewMaker,
    command: Sequence[str],
    last_erasure: Callable[[], int],
    store: str,
    *,
    clock: Callable[[], datetime],
    monotonic: Callable[[], float],
) -> Previews:
    """What has previews made by way of the folder, or here where there is none of ours alone."""
    folder = usable(folder)
    if folder is None:
        return PreviewsHere(maker, clock=clock)
    version = maker.policy_version
    return PreviewsApart(folder, command, version, last_erasure, store, clock=clock, monotonic=monotonic)
