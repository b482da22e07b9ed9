"""Draw customers. In: a customer id. Out: a `Portrait` as of now, or None of one of whom nothing is known.

The customer's whole stored history is added up anew each time, measured by the population of the model that
serves. Where the store holds no history, what the bundle kept stands in, as of the end of its window. Nothing
from before an erasure counts, neither in the store nor in a bundle that was trained before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import chain

from recsvc.bundles.bundle import Bundle
from recsvc.domain.figures import explain
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Item
from recsvc.domain.portraying import draw_profile
from recsvc.domain.profiles import CustomerProfile, Portrait, Source
from recsvc.domain.segments import segments_of
from recsvc.policy import Policy
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.protocols import CustomerDirectory, WholeHistory


class Portraits:
    """Draws one customer at a time, for people who look."""

    def __init__(
        self,
        directory: CustomerDirectory,
        events: WholeHistory,
        catalogue: LiveCatalogue,
        policy: Policy,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._directory = directory
        self._events = events
        self._catalogue = catalogue
        self._policy = policy
        self._clock = clock

    def portrait(self, customer_id: str) -> Portrait | None:
        """What is known of the customer now; None of one of whom nothing is known. Raises StoreError."""
        now = self._clock()
        model, view = self._catalogue.model_and_view()
        bundle = model.bundle if model else None
        kept, erased_at = self._directory.get(customer_id), self._directory.erased_at(customer_id)
        trained = _trained(bundle, customer_id, erased_at)
        history = self._history(customer_id, erased_at)
        first = next(history, None)
        if kept is None and trained is None and first is None:
            return None
        attributes = kept.value.attributes if kept else {}
        population = bundle.manifest.population if bundle else None
        profile, source = trained, _source(trained)
        if first is not None:
            source = "events"
            profile = draw_profile(
                customer_id,
                chain((first,), history),
                item_of=_item_of(view.items, bundle),
                policy=self._policy,
                population=population,
                as_of=now,
            )
        as_of = (profile.as_of if profile else None) or now
        return Portrait(
            customer_id=customer_id,
            as_of=as_of,
            source=source,
            model_version=bundle.version if bundle else None,
            segment=self._policy.segment_of(attributes, trained.fields() if trained else {}),
            segments=segments_of(attributes, profile, self._policy),
            **explain(profile, population, self._policy, as_of=as_of),
        )

    def _history(self, customer_id: str, erased_at: datetime | None) -> Iterator[Interaction]:
        for interaction in self._events.of_customer(customer_id):
            if erased_at is None or interaction.occurred_at > erased_at:
                yield interaction


def _item_of(live: Mapping[str, Item], bundle: Bundle | None) -> Callable[[str], Item | None]:
    """The item as the store has it, else as the bundle knew it: what was retired is still what was read."""
    if bundle is None:
        return live.get
    of_bundle = bundle.catalogue.get
    return lambda item_id: live.get(item_id) or of_bundle(item_id)


def _trained(bundle: Bundle | None, customer_id: str, erased_at: datetime | None) -> CustomerProfile | None:
    """What the bundle kept of the customer; None of one who was erased after it was trained."""
    if bundle is None or (erased_at is not None and erased_at >= bundle.manifest.created_at):
        return None
    customer_row = bundle.customers.row_of(customer_id)
    return None if customer_row is None else bundle.profile_of(customer_row)


def _source(trained: CustomerProfile | None) -> Source:
    return "bundle" if trained else "nothing"
