"""`recsvc doctor`: is everything there that the service needs? Loud where it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import click
from threadpoolctl import threadpool_info

from recsvc.bundles.registry import Registry
from recsvc.cli.store_facts import versions_of_experiments
from recsvc.cli.terminal import json_option, models_option, print_json, settings_with, stdout
from recsvc.clock_and_ids import now
from recsvc.errors import BundleError, RecsvcError
from recsvc.policy import load_policy
from recsvc.serving.catalogue_view import make_view
from recsvc.serving.verification import Model, load_model
from recsvc.settings import Settings
from recsvc.stores.catalogue import SqlCatalogue
from recsvc.stores.database import open_database
from recsvc.stores.events import SqlEvents
from recsvc.stores.redis_server import open_redis
from recsvc.training.families import FAMILIES

MAX_EVENT_AGE = timedelta(days=30)
MAX_UNREACHED = 0.5  # Share of the live items.


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    ok: bool
    detail: str


@click.command(epilog="\b\nExample:\n  recsvc doctor --models models\n")
@models_option
@json_option
def doctor(models: Path | None, as_json: bool) -> None:
    """Check settings, policy, store, Redis and models.

    Exit code 1 when anything is wrong.
    """
    settings = settings_with(models=models)
    findings = list(examine(settings))
    healthy = all(finding.ok for finding in findings)
    if as_json:
        print_json({"healthy": healthy, "findings": findings})
    else:
        for finding in findings:
            mark = "[green]ok   [/]" if finding.ok else "[bold red]WRONG[/]"
            stdout.print(f"{mark} {finding.check}: ", end="")
            stdout.print(finding.detail, markup=False)
    raise SystemExit(0 if healthy else 1)


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, whatever else is wrong."""
    policy = _try("policy", lambda: f"version {load_policy(settings.policy_file).version}")
    yield policy
    yield _try("redis", lambda: _redis(settings))
    yield _try("store", lambda: _store(settings))
    yield _try("events", lambda: _events(settings), wrong=("no events", "the last event"))
    yield from _bundles(settings)
    yield _try("experiments", lambda: _experiments(settings), wrong=("no model",))
    yield Finding("model families", True, ", ".join(family.name for family in FAMILIES))
    threads = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    yield Finding("BLAS threads", True, f"{max(threads, default=1)} here; 1 in every web worker")


def _try(check: str, look: Callable[[], str], wrong: tuple[str, ...] = ()) -> Finding:
    try:
        detail = look()
    except RecsvcError as error:
        return Finding(check, False, str(error))
    return Finding(check, not detail.startswith(wrong) if wrong else True, detail)


def _redis(settings: Settings) -> str:
    _, server = open_redis(settings)
    if server is None:
        return "REDIS_URL answers"
    server.stop()
    return "an embedded server starts and answers"


def _store(settings: Settings) -> str:
    with closing(open_database(settings.store_url)) as database:
        return f"{len(SqlCatalogue(database).items()):,} items, {SqlEvents(database).count():,} events"


def _events(settings: Settings) -> str:
    with closing(open_database(settings.store_url)) as database:
        latest = SqlEvents(database).latest_at()
    if latest is None:
        return "no events yet; bring some in with recsvc import"
    if now() - latest > MAX_EVENT_AGE:
        return (
            f"the last event is of {latest:%Y-%m-%d}, over {MAX_EVENT_AGE.days} days ago; is the feed broken?"
        )
    return f"the last one is of {latest:%Y-%m-%d %H:%M} UTC"


def _experiments(settings: Settings) -> str:
    needed, shelf = versions_of_experiments(settings), set(Registry(settings.models_dir).versions())
    if missing := sorted(needed - shelf):
        return (
            f"no model {missing[0]} on the shelf, and an experiment needs it: its customers get the champion"
        )
    return f"{len(needed)} model versions are in experiments"


def _bundles(settings: Settings) -> Iterator[Finding]:
    registry = Registry(settings.models_dir)
    try:
        versions = registry.versions()
    except BundleError as error:
        yield Finding("bundles", False, str(error))
        return
    champion = None
    try:
        champion = registry.aliases().champion
    except BundleError as error:
        yield Finding("champion", False, str(error))
    else:
        if champion is None:
            remedy = "recsvc models promote" if versions else "recsvc train"
            yield Finding("champion", False, f"there is none; make one with {remedy}")
        elif champion not in versions:
            yield Finding("champion", False, f"{champion} is not on the shelf; promote another version")
    for version in versions:
        check = f"champion {version}" if version == champion else f"bundle {version}"
        try:
            model = load_model(registry.path_of(version))
        except BundleError as error:
            yield Finding(check, False, str(error))
            continue
        yield Finding(check, True, "every check passed")
        if version == champion:
            yield _reach(model, settings)


def _reach(model: Model, settings: Settings) -> Finding:
    """How much of what is live the trained model can ever show."""
    try:
        with closing(open_database(settings.store_url)) as database:
            view = make_view(SqlCatalogue(database).items(), model.bundle, revision=0)
    except RecsvcError as error:
        return Finding("reach", False, str(error))
    total = max(len(view.items), 1)
    share = sum(len(items) for items in view.fresh.values()) / total
    detail = f"{share:.0%} of {len(view.items):,} live items are unknown to the model: nobody used them yet"
    return Finding("reach", share < MAX_UNREACHED, detail)
