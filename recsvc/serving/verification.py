"""The full check of a bundle before it serves. In: a folder. Out: a model that is fit to serve."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recsvc.bundles.bundle import Bundle, History
from recsvc.bundles.manifest import GoldenQuery
from recsvc.bundles.opening import map_bundle, open_bundle
from recsvc.errors import BundleCorruptError, GoldenQueryError
from recsvc.serving.offers.propensity import PropensityScorer, open_propensities
from recsvc.serving.scoring import Scorer, Shortlist, make_scorer, make_shortlist

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""What changes when anybody touches the files of a bundle."""

_TOLERANCE = 1e-3  # Relative; float32 sums in another order differ by less than a tenth of it.


@dataclass(frozen=True, slots=True)
class Model:
    """A bundle that passed its checks, with the scorer of its parts.

    `shortlist` None means that all items may as well be scored; `propensities` None, that it has no model of
    who responds to offers.
    """

    bundle: Bundle
    scorer: Scorer
    shortlist: Shortlist | None = None
    propensities: PropensityScorer | None = None

    @property
    def version(self) -> str:
        return self.bundle.version


def load_model(path: Path) -> Model:
    """Open a bundle, check it whole, and ask it its golden queries.

    Raises:
        BundleError: the bundle is refused; the subclass and the sentence say why.
    """
    with _fitting_together(path.name):
        model = _model_of(open_bundle(path))
        for number, query in enumerate(model.bundle.manifest.golden_queries, start=1):
            if not _answers(model, query):
                open_bundle(path)  # A file that changed since it was checked is named.
                raise GoldenQueryError(model.version, number)
    return model


def map_model(path: Path) -> Model:
    """Open a bundle that passed `load_model` as its files stand, in whatever process. Raises as that does."""
    with _fitting_together(path.name):
        return _model_of(map_bundle(path))


def fingerprint_of(folder: Path) -> Fingerprint:
    """Names, sizes and times of a bundle's files; nothing where there are none."""
    try:
        facts = [(entry.name, entry.stat()) for entry in folder.iterdir()]
    except OSError:
        return ()
    # The time of the last change of the file's record, too: nobody can set that one back.
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in facts))


def _model_of(bundle: Bundle) -> Model:
    scorer = make_scorer(bundle)
    return Model(bundle, scorer, make_shortlist(bundle, scorer), open_propensities(bundle))


@contextmanager
def _fitting_together(version: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, IndexError, ValueError, TypeError, np.linalg.LinAlgError) as error:
        raise BundleCorruptError(version, "its arrays", f"do not fit together ({error})") from error


def _answers(model: Model, query: GoldenQuery) -> bool:
    """Whether the best items score now what they scored at training."""
    items = model.bundle.items
    rows = [items.row_of(item_id) for item_id in (*query.history, *query.best)]
    if any(row is None for row in rows):
        return False
    item_rows = np.array(rows, dtype=np.int32)
    n_history = len(query.history)
    history = History(item_rows[:n_history], np.ones(n_history, dtype=np.float32))
    scores = model.scorer.score(history)[item_rows[n_history:]]
    return bool(np.allclose(scores, query.scores, rtol=_TOLERANCE, atol=_TOLERANCE / 10))
