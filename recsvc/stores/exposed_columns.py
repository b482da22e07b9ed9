"""Put exposures together by customer. In: one exposure after another. Out: a customer once, in columns."""

from __future__ import annotations

from sys import intern

from recsvc.domain.outcomes import ExposedCustomers


class ExposedColumns:
    """Columns that grow. Of several exposures of one customer the first counts, and answers add up."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._variants: list[str] = []
        self._exposed_at: list[int] = []
        self._channels: list[str] = []
        self._crossed: list[int] = []
        self._counts: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])

    def add(self, customer_id: str, variant: str, exposed_at: int, channel: str, *counts: int) -> None:
        """One exposure of a canonical customer; `counts` are answers, fallbacks, mismatches, latency."""
        place = self._places.setdefault(customer_id, len(self._variants))
        if place == len(self._variants):
            self._variants.append(intern(variant))
            self._exposed_at.append(exposed_at)
            self._channels.append(intern(channel))
            self._crossed.append(0)
            for column, count in zip(self._counts, counts, strict=True):
                column.append(count)
            return
        if variant != self._variants[place]:
            self._crossed[place] = 1
        if (exposed_at, variant) < (self._exposed_at[place], self._variants[place]):
            self._exposed_at[place] = exposed_at
            self._variants[place], self._channels[place] = intern(variant), intern(channel)
        for column, count in zip(self._counts, counts, strict=True):
            column[place] += count

    def sorted(self) -> ExposedCustomers:
        """All of them, in the order of their ids."""
        ids = sorted(self._places)
        order = [self._places[name] for name in ids]
        answers, fallbacks, mismatched, latency = (
            [column[place] for place in order] for column in self._counts
        )
        return ExposedCustomers(
            customer_ids=ids,
            variants=[self._variants[place] for place in order],
            exposed_at=[self._exposed_at[place] for place in order],
            channels=[self._channels[place] for place in order],
            crossed=[self._crossed[place] for place in order],
            n_answers=answers,
            n_fallbacks=fallbacks,
            n_mismatched=mismatched,
            latency_micros=latency,
        )
