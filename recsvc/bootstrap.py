"""Build the object graph: the one place that knows every part. It constructs, and never decides."""

from __future__ import annotations

import math
import os
import random
import secrets
import threading
import time
import uuid

from threadpoolctl import threadpool_limits

from recsvc.bundles.registry import Registry
from recsvc.clock_and_ids import new_id, now
from recsvc.experimentation.allocations import holdout_experiment
from recsvc.experimentation.desks import ExperimentDesk, IdentityDesk
from recsvc.experimentation.exposed import ExposedEngine
from recsvc.experimentation.exposure_notes import WRITE_SECONDS, ExposureNotes
from recsvc.experimentation.results_desk import ResultsDesk, SatisfactionDesk
from recsvc.experimentation.running import EXPERIMENTS_SECONDS, RunningExperiments
from recsvc.experimentation.units import Units
from recsvc.policy import load_policy
from recsvc.previewing import previews_of
from recsvc.reporting import reports_of
from recsvc.request_ids import request_ids
from recsvc.services import Services
from recsvc.serving.bounded import BoundedEngine
from recsvc.serving.browsing import Browser as CatalogueBrowser
from recsvc.serving.caching import RENEW_SECONDS, CachedEngine
from recsvc.serving.checked_versions import CheckedVersions
from recsvc.serving.checking import checker_in
from recsvc.serving.customers import SubjectReader
from recsvc.serving.desks import CatalogueDesk as ItemDesk
from recsvc.serving.desks import CustomerDesk as RecordDesk
from recsvc.serving.desks import MerchandisingDesk
from recsvc.serving.engine import Engine as SlateEngine
from recsvc.serving.epochs import ForgettingTraces, OutdatingCache
from recsvc.serving.freed_memory import FreedMemory, trim_of_libc
from recsvc.serving.health import Health as WorkerHealth
from recsvc.serving.intake import EventIntake
from recsvc.serving.live_access import LiveReader
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.live_feed import FOLLOW_SECONDS, REBUILD_SECONDS, LiveFeed
from recsvc.serving.live_follower import LiveSources
from recsvc.serving.local_copies import LocalCopies
from recsvc.serving.models_desk import ModelsDesk
from recsvc.serving.offers.auditing import AuditDesk
from recsvc.serving.offers.desk import OfferDesk
from recsvc.serving.portraits import Portraits as PortraitDrawer
from recsvc.serving.privacy import PrivacyDesk
from recsvc.serving.refreshing import Refresher
from recsvc.serving.training_desk import SILENT_LOOK_SECONDS, TrainingDesk
from recsvc.serving.untouched import LatelyUntouched
from recsvc.serving.warming import WARM_SECONDS, WarmUp
from recsvc.settings import Settings
from recsvc.stores.api_keys import SqlApiKeys
from recsvc.stores.catalogue import SqlCatalogue
from recsvc.stores.contacts import SqlContacts
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import open_database
from recsvc.stores.decisions import SqlDecisions, at_erasure
from recsvc.stores.epoch_table import open_epoch_table
from recsvc.stores.erasures import SqlErasures
from recsvc.stores.event_tail import SqlEventTail
from recsvc.stores.event_writer import EventWriter
from recsvc.stores.events import SqlEvents
from recsvc.stores.experiments import SqlExperiments
from recsvc.stores.exposures import SqlExposures
from recsvc.stores.identities import SqlIdentities
from recsvc.stores.job_queue import JobQueue
from recsvc.stores.key_ring import KeyRing
from recsvc.stores.machine_watch import MachineWatch
from recsvc.stores.merchandising import SqlMerchandising
from recsvc.stores.offer_ledger import SqlOfferLedger
from recsvc.stores.offer_versions import SqlOfferVersions
from recsvc.stores.redis_client import COOL_DOWN_SECONDS, RestingRedis
from recsvc.stores.redis_server import open_redis
from recsvc.stores.rejects_folder import RejectsFolder
from recsvc.stores.slate_cache import RedisSlateCache
from recsvc.stores.tombstones import SqlTombstones
from recsvc.stores.training_runs import SqlTrainingRuns
from recsvc.telemetry import REST_SECONDS, Telemetry

COUNT_SECONDS = 1.0
"""How often a worker writes what it has counted."""


def build_services(settings: Settings) -> Services:
    """Build every part from the settings.

    Raises:
        RecsvcError: the policy, the store or Redis cannot be used.
    """
    threadpool_limits(1, user_api="blas")  # Workers share the cores; threads within a request only fight.
    policy = load_policy(settings.policy_file)
    database = open_database(settings.store_url)
    redis_url, server = (settings.redis_url, None) if settings.redis_url else open_redis(settings)
    redis = RestingRedis(redis_url, settings.redis_timeout_seconds, monotonic=time.monotonic)
    slates = RedisSlateCache(redis, rng=random.SystemRandom())
    settling_seconds = settings.refresh_seconds + 2 * COOL_DOWN_SECONDS
    stamps = open_epoch_table(settings.epochs_file, rng=random.SystemRandom())
    cache = OutdatingCache(slates, monotonic=time.monotonic, settling_seconds=settling_seconds, stamps=stamps)
    # Several machines may use a store of its own server; one file of SQLite is used by this machine alone.
    machines = None
    if settings.database_url and settings.local_slates_mb:
        machines = MachineWatch(redis_url, stamps.machine, monotonic=time.monotonic)
    copies = LocalCopies(
        stamps,
        settings.local_slates_mb * 1_000_000,
        clock=time.time,
        monotonic=time.monotonic,
        known_until=machines.known_until if machines else lambda: math.inf,
    )
    cache.owe_to_all()
    records, events, writer = SqlCustomers(database), SqlEvents(database), EventWriter(SqlEvents(database))
    items, rules, decisions = SqlCatalogue(database), SqlMerchandising(database), SqlDecisions(database)
    registry, identities = Registry(settings.models_dir), SqlIdentities(database)
    experiments, holdout = SqlExperiments(database), holdout_experiment(policy.experiments)
    running = RunningExperiments(experiments, policy.lists, holdout=holdout, clock=now)
    exposures = SqlExposures(database)
    notes = ExposureNotes(exposures)
    checker = checker_in(settings.checks_dir, monotonic=time.monotonic)
    bundles = LiveBundles(registry, wanted_versions=running.wanted_versions, checker=checker)
    checked = CheckedVersions(registry, checker=checker)
    live = LiveCatalogue(items, bundles, rules.rules, is_untouched=LatelyUntouched(time.monotonic))
    sources = LiveSources(SqlEventTail(database), SqlTombstones(database), records, policy)
    # Drawn for each worker, so that not all build their states anew at once.
    every = REBUILD_SECONDS * random.SystemRandom().uniform(1.0, 1.5)
    feed = LiveFeed(sources, clock=now, monotonic=time.monotonic, rebuild_seconds=every)
    live_reader = LiveReader(feed, monotonic=time.monotonic)
    subjects = SubjectReader(records, events, policy)
    contacts = SqlContacts(database, policy.offers, is_content=live.is_content)
    ledger = SqlOfferLedger(database, contacts, random_bytes=secrets.token_bytes)
    engine = SlateEngine(
        live,
        subjects,
        policy,
        clock=now,
        new_id=new_id,
        live=live_reader,
        contacts=contacts,
        ledger=ledger,
    )
    places = threading.BoundedSemaphore(settings.computations)
    bounded = BoundedEngine(
        engine, places, settings.wait_seconds, cpu_clock=time.thread_time, monotonic=time.monotonic
    )
    portraits = PortraitDrawer(records, events, live, policy, clock=now)
    units = Units(identities, stamps)
    privacy = PrivacyDesk(
        SqlErasures(
            database, tokens=secrets.token_hex, of_decisions=at_erasure(policy.offers.decisions_at_erasure)
        ),
        ForgettingTraces(slates, stamps),
        RejectsFolder(settings.rejects_dir),
        records,
        events,
        exposures,
        identities,
        decisions,
        rows_in_model=bundles.rows_of,
        portrait=portraits.portrait,
        forget_live=feed.forget,
        clock=now,
        new_id=new_id,
    )
    kept_here = copies if settings.local_slates_mb else None
    cached = CachedEngine(bounded, cache, live, policy.version, clock=now, copies=kept_here)
    warm_up = WarmUp(
        copies.asked_of_late,
        cached.warm,
        lambda: live.view.model_version,
        settings.warm_up_slates,
        asked_again=copies.asked_again,
        make_ahead=cached.make_ahead,
        monotonic=time.monotonic,
        sleep=time.sleep,
    )
    freed = FreedMemory(lambda: f"{bundles.model and bundles.model.version}", trim_of_libc())
    # A model that comes finds its live state ready: it is built before answers turn to the model.
    refresher = Refresher(
        (
            bundles.refresh,
            live.leave_touched,
            lambda: feed.follow(bundles.model, bundles.beside),
            lambda: warm_up.go_ahead(live.lay_coming()),
            live.refresh,
            freed.give_back,
            lambda: running.open_for(live.versions, [one.version for one in bundles.refused]),
            bounded.exercise,
        ),
        settings.refresh_seconds,
    )
    # Nothing of this may wait for a model: others trust Redis again once what is owed has had its time.
    keeper = Refresher((live.follow, copies.refresh, cache.retry), settings.refresh_seconds)
    # What an erasure still has to do may take long, and must not keep a new catalogue waiting.
    eraser = Refresher((privacy.finish_pending,), settings.refresh_seconds)
    # Nor must a model that is read, or a state that is built, keep an experiment from being paused or a link
    # from being known.
    experimenter = Refresher((running.refresh, units.refresh), EXPERIMENTS_SECONDS)
    noter = Refresher((notes.write,), WRITE_SECONDS)
    experimenter.start()
    refresher.start()
    keeper.start()
    noter.start()
    offers = OfferDesk(
        SqlOfferVersions(database),
        standing=lambda item_id: live.readable_view().items.get(item_id),
        approval=policy.offers.approval,
        clock=now,
    )
    jobs = JobQueue(redis_url)
    runs = TrainingDesk(SqlTrainingRuns(database), jobs, policy.training, clock=now, new_id=new_id)
    watcher = Refresher((runs.mark_silent,), SILENT_LOOK_SECONDS)
    watcher.start()
    # Every worker follows the store by itself, so that all know of an event within a second.
    follower = Refresher((feed.refresh,), FOLLOW_SECONDS)
    exposed = ExposedEngine(cached, running, units, notes, clock=now, monotonic=time.monotonic)
    breakers = {"redis": redis.is_resting, "slates": cache.is_distrusted}
    health = WorkerHealth(bundles, live, slates, feed, live_reader, warming=warm_up.state, breakers=breakers)
    counters = {"mismatches": exposed.count_mismatches, "rests": redis.count_rests}
    telemetry = Telemetry(
        settings.metrics_dir,
        health.state,
        pid=os.getpid(),
        clock=now,
        counters=counters,
        rest=lambda: time.sleep(REST_SECONDS),
    )
    counter = Refresher((telemetry.write,), COUNT_SECONDS)
    reports = reports_of(settings, database, policy, clock=now, monotonic=time.monotonic)
    previews = previews_of(settings, database, policy, checker, clock=now, monotonic=time.monotonic)
    eraser.start()
    follower.start()
    renewer = Refresher((cached.renew_ageing,), RENEW_SECONDS)
    renewer.start()
    warmer = Refresher((warm_up.go_on,), WARM_SECONDS)
    warmer.start()
    if machines:
        machines.start(tell=copies.refresh)
    counter.start()
    return Services(
        settings=settings,
        policy=policy,
        engine=exposed,
        visitors=bounded,
        computing=bounded,
        browser=CatalogueBrowser(live, policy, clock=now, live=live_reader),
        keys=KeyRing(SqlApiKeys(database), monotonic=time.monotonic),
        health=health,
        intake=EventIntake(writer, cache, clock=now, announce=feed.expect),
        customers=RecordDesk(records, outdate=cache.move_epochs, clock=now),
        catalogue=ItemDesk(items, live, offers),
        offers=offers,
        audit=AuditDesk(decisions, engine.explain_offer),
        merchandising=MerchandisingDesk(rules, view=live.readable_view, clock=now),
        training_runs=runs,
        portraits=portraits,
        experiment_results=ResultsDesk(experiments, reports, policy),
        satisfaction=SatisfactionDesk(reports),
        privacy=privacy,
        models=ModelsDesk(registry, SqlTombstones(database).erased_among, previews, live, checker=checker),
        telemetry=telemetry,
        experiments=ExperimentDesk(
            experiments, units, policy.experiments, fault_of=checked.fault_of, clock=now
        ),
        identities=IdentityDesk(identities, units, clock=now),
        clock=now,
        new_id=request_ids(uuid.uuid4().hex[:16]),
        closers=(
            notes.write,  # At once: whatever ends slowly may be cut short.
            checker.stop,
            reports.stop,
            previews.stop,
            noter.stop,
            refresher.stop,
            keeper.stop,
            eraser.stop,
            renewer.stop,
            warmer.stop,
            follower.stop,
            counter.stop,
            experimenter.stop,
            telemetry.write,
            watcher.stop,
            jobs.close,
            writer.close,
            ledger.close,
            *([machines.stop] if machines else []),
            redis.close,
            *([server.stop] if server else []),
            database.close,
            stamps.close,
        ),
    )
