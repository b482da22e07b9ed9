"""Where a history comes from and goes to. In: files, or the store. Out: what there is to train on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import Any

import click

from recsvc.domain.condition_facts import known_fields
from recsvc.domain.customers import Customer
from recsvc.domain.items import Item, ItemKind
from recsvc.errors import SourceError
from recsvc.history.catalogue import read_customers, read_items
from recsvc.history.interactions import InteractionTable
from recsvc.history.mapping import FileMapping, load_mapping
from recsvc.history.readers import read_interactions
from recsvc.history.rejects import RejectionReport
from recsvc.policy import Policy
from recsvc.retraining.reading import read_source
from recsvc.serving.offers.desk import bring_items_in
from recsvc.settings import Settings
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import open_database
from recsvc.stores.events import SqlEvents
from recsvc.stores.offer_versions import SqlOfferVersions
from recsvc.training.material import Source

Progress = Callable[[str, float], None]
_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Files:
    """The files that a command was given."""

    events: Sequence[Path] = ()
    mapping: Path | None = None
    items: Path | None = None
    customers: Path | None = None
    rejects: Path | None = None
    reject_limit: float = 0.02


_PATH = click.Path(path_type=Path)


def items_option(help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option that names a file of items, with what the command makes of it."""
    return click.option("--items", type=_PATH, help=help)


_FILE_OPTIONS = (
    click.option("--events", type=_PATH, multiple=True, help="File of events; may be repeated."),
    items_option("File of items."),
    click.option("--customers", type=_PATH, help="File of customers."),
    click.option("--mapping", type=_PATH, help="TOML file that says which column is which field."),
    click.option("--rejects", type=_PATH, help="Where rejected rows go.  [default: data folder]"),
    click.option(
        "--reject-limit",
        type=click.FloatRange(0, 1),
        default=0.02,
        show_default=True,
        help="Share of bad rows at which everything stops.",
    ),
)


def files_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that reads files; it gets them as its argument `files`."""

    @wraps(command)
    def gather(**options: Any) -> Any:
        files = Files(**{name: options.pop(name) for name in Files.__slots__})
        return command(files=files, **options)

    for option in reversed(_FILE_OPTIONS):
        gather = option(gather)
    return gather


@dataclass(frozen=True, slots=True)
class Parts:
    """What was read, with a report for each kind of file."""

    table: InteractionTable | None
    items: tuple[Item, ...]
    customers: tuple[Customer, ...]
    reports: tuple[RejectionReport, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import brought into the store. Duplicates are events that it held already."""

    items: int
    customers: int
    events: int
    duplicates: int


def read_files(
    files: Files, settings: Settings, policy: Policy, *, as_of: datetime, progress: Progress
) -> Parts:
    """Read the files, each by the mapping. Raises HistoryError."""
    mapping = load_mapping(files.mapping)
    reports: list[RejectionReport] = []

    def rejects_path(what: str) -> Path:
        if files.rejects:
            return files.rejects.with_suffix(f".{what}.jsonl")
        return rejects_file(settings, as_of, what)

    items: tuple[Item, ...] = ()
    customers: tuple[Customer, ...] = ()
    table = None
    if files.items:
        items, report = read_items(
            files.items,
            mapping,
            rejects_path=rejects_path("items"),
            reject_limit=files.reject_limit,
            fields=known_fields(policy),
        )
        reports.append(report)
    if files.customers:
        customers, report = read_customers(
            files.customers, mapping, rejects_path=rejects_path("customers"), reject_limit=files.reject_limit
        )
        reports.append(report)
    if files.events:
        history = read_interactions(
            files.events,
            mapping,
            policy,
            rejects_path=rejects_path("events"),
            as_of=as_of,
            reject_limit=files.reject_limit,
            progress=progress,
        )
        table = history.table
        reports.append(history.report)
    return Parts(table, items, customers, tuple(reports))


def rejects_file(settings: Settings, started: datetime, what: str) -> Path:
    """Where a run puts the rejected rows of one file: apart from those of any run in the same second."""
    return settings.rejects_dir / f"{started:%Y%m%dT%H%M%S.%fZ}-{what}.jsonl"


def read_store(settings: Settings) -> Parts:
    """Read everything that was imported or received. Raises StoreError, SourceError."""
    with closing(open_database(settings.store_url)) as database:
        source = read_source(database)
    return Parts(source.table, tuple(source.items), tuple(source.customers), ())


def to_train_on(parts: Parts, mapping: Path | None) -> Source:
    """The parts as training takes them. Raises SourceError where there are no events."""
    if parts.table is None:
        raise SourceError("there are no events to train on; give --events PATH")
    return Source(parts.table, parts.items, parts.customers, default_kind(load_mapping(mapping)))


def write_to_store(parts: Parts, settings: Settings, *, at: datetime, progress: Progress) -> Imported:
    """Bring what was read into the store; what it holds already stays as it is. Raises StoreError."""
    database = open_database(settings.store_url)
    try:
        if parts.items:
            bring_items_in(SqlOfferVersions(database), parts.items, at=at)
        if parts.customers:
            SqlCustomers(database).put_many(parts.customers, now=at)
        accepted = duplicates = 0
        interactions = parts.table.interactions() if parts.table else iter(())
        events = SqlEvents(database)
        while batch := list(islice(interactions, _BATCH)):
            appended = events.append(batch, received_at=at)
            accepted, duplicates = accepted + appended.accepted, duplicates + appended.duplicates
            progress("store events", (accepted + duplicates) / len(parts.table or ()))
    finally:
        database.close()
    return Imported(len(parts.items), len(parts.customers), accepted, duplicates)


def default_kind(mapping: FileMapping) -> ItemKind:
    """What items are of which a file of events gives nothing but the id."""
    return (mapping.items.constants.kind if mapping.items else None) or ItemKind.CONTENT


time_budget_option = click.option(
    "--time-budget",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End the search of settings after so long and settle for the best that was found; judging and the "
    "last fit follow. Without it the whole plan is tried, which gives the same model on any machine.",
)
