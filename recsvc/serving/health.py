"""Whether a worker can answer. In: the model, the catalogue, the cache, what is live. Out: one report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from recsvc.errors import RedisError
from recsvc.serving.answers import HealthReport
from recsvc.serving.live_access import LiveReader
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.live_feed import LiveFeed
from recsvc.serving.protocols import SlateCache
from recsvc.telemetry import Warming, WorkerState


class Health:
    """Reports on one worker. It is ready as long as it has anything to show."""

    def __init__(
        self,
        bundles: LiveBundles,
        catalogue: LiveCatalogue,
        cache: SlateCache,
        live: LiveFeed,
        live_reader: LiveReader,
        *,
        warming: Callable[[], Warming] = Warming,
        breakers: Mapping[str, Callable[[], bool]] = MappingProxyType({}),
    ) -> None:
        self._bundles = bundles
        self._catalogue = catalogue
        self._cache = cache
        self._live = live
        self._live_reader = live_reader
        self._warming = warming
        self._breakers = breakers

    def report(self) -> HealthReport:
        """How things stand at this moment."""
        model, view = self._catalogue.model_and_view()
        live = self._live.report()
        redis, store = self._redis_answers(), not self._catalogue.is_stale
        parts = {"redis": redis, "store": store, "model": model is not None}
        degraded = [part for part, stands in parts.items() if not stands]
        degraded += ["bundle_refused"] if self._bundles.refused else []
        degraded += ["registry"] if self._bundles.is_stale else []
        degraded += ["live"] if live.is_stale or self._live_reader.is_failing else []
        return HealthReport(
            ready=model is not None or bool(view.items),
            degraded=tuple(degraded),
            model_version=model.version if model else None,
            refused_bundles=self._bundles.refused,
            n_items=len(view.items),
            redis=redis,
            store=store,
            live=live,
        )

    def state(self) -> WorkerState:
        """The same in short, for whoever counts."""
        report = self.report()
        model, _ = self._catalogue.model_and_view()
        created_at = model.bundle.manifest.created_at if model else None
        return WorkerState(
            report.model_version,
            created_at,
            report.redis,
            report.store,
            report.live.n_behind,
            self._warming(),
            {name: is_open() for name, is_open in self._breakers.items()},
        )

    def _redis_answers(self) -> bool:
        try:
            self._cache.ping()
        except RedisError:
            return False
        return True
