"""What of a served score hangs on a customer's past. In: a subject, a model, what is live. Out: yes or no.

A served score is the sum of the model's standardised score and the live parts. What is taken out of a past
is taken out of both: out of the history that the model folds in, and out of the recent items that tell a
taste. It is taken out of what likens the customer to others as well, which can only lower a score: where
the rest falls, the sum does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from recsvc.bundles.bundle import History
from recsvc.domain.rows import NO_ROW
from recsvc.live.scoring import PARTS, TASTE, shared_with_readers, taste_scores
from recsvc.live.state import LiveState
from recsvc.serving.candidate import Candidate
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.customers import Subject
from recsvc.serving.scoring.accounts import Account
from recsvc.serving.scoring.parts import FloatArray, NewFactors
from recsvc.serving.scoring.standardised import NoOpinion, TrainedOpinion, opinion_after
from recsvc.serving.verification import Model

_NO_ITEMS = frozenset[str]()


class ServedScore:
    """The scores of one request, with and without some items of the past.

    `state` is what they were blended with; None where they are the model's alone.
    """

    def __init__(self, subject: Subject, model: Model, view: CatalogueView, state: LiveState | None) -> None:
        self._subject, self._model, self._view, self._state = subject, model, view, state
        self._opinions: dict[frozenset[str], TrainedOpinion] = {}

    @cached_property
    def history_ids(self) -> Sequence[str]:
        """The items of the history that the model folds in, in its order."""
        return self._model.bundle.items.ids_of(self._subject.past.history.item_rows.tolist())

    @cached_property
    def _live_customer(self) -> int | None:
        """The customer's row in the live state."""
        live_id = self._subject.live_id
        return self._state.customer_row(live_id) if self._state and live_id is not None else None

    @cached_property
    def _account(self) -> Account:
        return self._model.scorer.account(self._subject.past.history)

    @cached_property
    def recent(self) -> Mapping[str, str | None]:
        """By id the category of each item that the customer met lately, as far as the catalogue knows it."""
        if self._state is None or self._live_customer is None:
            return {}
        ids = (self._state.item_ids[row] for row in self._state.recent(self._live_customer).tolist())
        return {one: item.category if (item := self._view.items.get(one)) else None for one in ids}

    @cached_property
    def may_be_named(self) -> frozenset[str]:
        """The items of the past that count for the customer: not what was turned down since."""
        past = self._subject.past
        return past.used.union(self.history_ids)

    def lately_of(self, category: str | None) -> Sequence[str]:
        """The recent items of the category that may be named."""
        return self._lately.get(category, ())

    @cached_property
    def _lately(self) -> Mapping[str | None, Sequence[str]]:
        """By category the recent items that may be named."""
        found: dict[str | None, list[str]] = {}
        for item_id, category in self.recent.items():
            if category is not None and item_id in self.may_be_named:
                found.setdefault(category, []).append(item_id)
        return found

    def is_placed(self, candidate: Candidate) -> bool:
        """Whether the model can say anything of the item."""
        return candidate.row is not None or bool(self._factors_of(candidate))

    def parts_of(self, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, FloatArray]]:
        """Those that the model knows, and what each history item adds to its score of them: (n_history,)."""
        if not self.history_ids:
            return
        known = {one.row: one for one in candidates if one.row is not None}
        own = self._account.of(np.array(list(known), dtype=np.int32)).own
        yield from zip(known.values(), own, strict=True)
        for one in candidates:
            if one.row is None and (factors := self._factors_of(one)):
                yield one, self._account.of_new(factors).own[0]

    def shared_with_readers(self, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, list[str]]]:
        """Those that somebody met, and what the customer shares with their readers who are most alike.

        The items that may be named, the one that adds most to the likeness first.
        """
        state, customer = self._state, self._live_customer
        if state is None or customer is None or not candidates:
            return
        rows = state.rows_of(one.item.item_id for one in candidates)
        met = [one for one, row in zip(candidates, rows.tolist(), strict=True) if row != NO_ROW]
        found = shared_with_readers(state, customer, rows[rows != NO_ROW])
        for one, (shared, parts) in zip(met, found, strict=True):
            ids = [state.item_ids[row] for row in shared[np.argsort(-parts, kind="stable")].tolist()]
            yield one, [item_id for item_id in ids if item_id in self.may_be_named]

    def falls_without(self, candidate: Candidate, gone: Collection[str]) -> bool:
        """Whether the candidate's score is lower without these items of the past."""
        if self._is_blended(candidate):
            return self._blended(candidate, frozenset(gone)) < self._blended(candidate, _NO_ITEMS)
        places = np.flatnonzero([one in gone for one in self.history_ids])
        return any(
            self._account.falls_without(candidate.row, float(own.sum()), places)
            if candidate.row is not None
            else self._account.new_falls_without(self._factors_of(candidate), float(own.sum()), places)
            for _, own in self.parts_of([candidate])
        )

    def falls_beside_likeness_without(self, candidate: Candidate, gone: Collection[str]) -> bool:
        """The same where the likeness to others falls without them, so that the rest need only not rise."""
        if not self._is_blended(candidate):
            return True
        return self._blended(candidate, frozenset(gone)) <= self._blended(candidate, _NO_ITEMS)

    def _is_blended(self, candidate: Candidate) -> bool:
        has_live = self._model.bundle.manifest.live is not None and self._state is not None
        return has_live and candidate.shares is not None

    def _blended(self, candidate: Candidate, gone: frozenset[str]) -> float:
        live = self._model.bundle.manifest.live
        assert live is not None, "only what is blended with live parts is asked for"
        left = [category for item_id, category in self.recent.items() if item_id not in gone]
        (taste,) = taste_scores(left, [candidate.item.category])
        trained = self._trained(candidate, self._opinion(gone))
        return live.trained_weight * trained + live.weights[PARTS[TASTE]] * float(taste)

    def _trained(self, candidate: Candidate, opinion: TrainedOpinion) -> float:
        """0, the mean, of what the model does not know."""
        if candidate.row is not None:
            return float(opinion.of(np.array([candidate.row], dtype=np.int32))[0])
        factors = self._factors_of(candidate)
        return float(opinion.of_new(factors, 1)[0]) if factors else 0.0

    def _factors_of(self, candidate: Candidate) -> NewFactors:
        """Of an item without a row; none where it cannot be placed."""
        return self._view.cold[candidate.item.kind].factors_of(candidate.item.item_id) or {}

    def _opinion(self, gone: frozenset[str]) -> TrainedOpinion:
        if gone not in self._opinions:
            history = self._subject.past.history
            left = np.array([one not in gone for one in self.history_ids], dtype=np.bool_)
            self._opinions[gone] = (
                opinion_after(
                    History(history.item_rows[left], history.strengths[left]),
                    self._model.scorer,
                    self._model.shortlist,
                )
                if left.any()
                else NoOpinion(self._model.bundle.popularity)
            )
        return self._opinions[gone]
