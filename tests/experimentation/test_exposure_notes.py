"""How exposures that were noted come to the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from recsvc.domain.exposures import Exposure
from recsvc.domain.items import Channel
from recsvc.domain.slates import Arm
from recsvc.errors import StoreError
from recsvc.experimentation.exposure_notes import ExposureNotes
from recsvc.stores.memory_exposures import MemoryExposures

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_what_waited_is_written_in_pieces_and_counted_once_where_the_store_fails_between_two() -> None:
    class Faltering(MemoryExposures):
        sizes: tuple[int, ...] = ()

        def record(self, met: Sequence[Exposure]) -> None:
            self.sizes += (len(met),)
            if len(self.sizes) == 2:
                raise StoreError("the store is away")
            super().record(met)

    store = Faltering()
    notes = ExposureNotes(store)
    for n in range(2_500):
        notes.note(
            Arm("e", 1, "a"),
            f"c{n}",
            at=NOW,
            channel=Channel.WEB,
            model_version=None,
            is_fallback=False,
            is_mismatched=False,
            latency_micros=1,
        )
    notes.write()
    assert store.sizes == (1_000, 1_000), "a store that fails is not tried with all that waits"
    notes.write()
    assert store.sizes[2:] == (1_000, 500)
    met = list(store.of_phase("e", 1))
    assert len(met) == 2_500 and {one.n_answers for one in met} == {1}
