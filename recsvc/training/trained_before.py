"""A trained model that knows nothing of a stretch. In: material, a selection. Out: the model before it."""

from __future__ import annotations

from datetime import datetime, timedelta

from recsvc.domain.item_features import item_features, says_what_it_is
from recsvc.history.matrix import InteractionMatrix, build_matrix
from recsvc.history.times import EPOCH
from recsvc.policy import Policy
from recsvc.training.blending import Model
from recsvc.training.cold_items import ColdScores
from recsvc.training.cold_start import tabulate
from recsvc.training.families.base import TrainingData, training_data
from recsvc.training.goals import recounted
from recsvc.training.holdout import Split
from recsvc.training.material import Material
from recsvc.training.prequential.stream import EventStream
from recsvc.training.prequential.trained import Newcomers, Trained
from recsvc.training.selection import Selection


def place_of_cut(stream: EventStream, cut: datetime) -> int:
    """How many events lie before the moment that a hold-out by time begins at."""
    return stream.place_of((cut - EPOCH).total_seconds())


def trained_before(
    stream: EventStream,
    start: int,
    material: Material,
    policy: Policy,
    parts: Split,
    selection: Selection,
    seed: int,
) -> Trained:
    """The chosen model as it knows nothing from the place `start` on."""
    if selection.judged and parts.cut and start >= place_of_cut(stream, parts.cut):
        matrix, until = parts.train, parts.cut
    else:
        until = EPOCH + timedelta(microseconds=round(float(stream.seconds[start]) * 1e6))
        matrix = matrix_before(until, material, policy)
    data = training_data(matrix)
    judged = selection.judged if matrix is parts.train else None
    model = judged or selection.chosen.fit(data, seed=seed)
    newcomers = _newcomers(model, data, matrix.item_ids, stream, material, until)
    return Trained(model, matrix.item_ids, data.strength_scale, data.popularity, newcomers)


def _newcomers(
    model: Model,
    data: TrainingData,
    item_ids: tuple[str, ...],
    stream: EventStream,
    material: Material,
    until: datetime | None,
) -> Newcomers | None:
    """What came later than the model, as far as a feature that it knows says what it is."""
    if not material.source.items or all(fitted.item_factors() is None for fitted, _ in model.parts):
        return None
    known_ids = set(item_ids)
    later = [item_id for item_id in stream.item_ids if item_id not in known_ids]
    catalogue = material.catalogue((*item_ids, *later))
    features = [item_features(item, as_of=until) for item in catalogue[: len(item_ids) + len(later)]]
    known = features[: len(item_ids)]
    telling = {name for name in tabulate(known).names if says_what_it_is(name)}
    described = zip(later, features[len(item_ids) :], strict=True)
    new = [(item_id, names) for item_id, names in described if not telling.isdisjoint(names)]
    if not new:
        return None
    ids, of_new = zip(*new, strict=True)
    return Newcomers(ids, ColdScores(model, data, known, of_new))


def matrix_before(moment: datetime, material: Material, policy: Policy) -> InteractionMatrix:
    """The matrix of what came before a moment, as a training at that moment would make it."""
    before = material.table.between(None, moment)
    matrix = build_matrix(before, policy, as_of=moment)
    return recounted(matrix, material.kind, before, policy, as_of=moment)
