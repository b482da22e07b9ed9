"""`recsvc import`: bring items, customers and events into the store."""

from __future__ import annotations

from pathlib import Path

import click

from recsvc.bootstrap import now
from recsvc.cli.reports import rejects_json, tell_rejects
from recsvc.cli.sources import Files, read_files, write_to_store
from recsvc.cli.terminal import json_option, print_json, progress_bar, say, settings_with
from recsvc.policy import load_policy

EXISTING = click.Path(path_type=Path)


@click.command(
    "import",
    epilog="\b\nExample:\n  recsvc import --items items.jsonl --events events.csv.gz\n",
)
@click.option("--events", type=EXISTING, multiple=True, help="File of events; may be repeated.")
@click.option("--items", type=EXISTING, help="File of items.")
@click.option("--customers", type=EXISTING, help="File of customers.")
@click.option("--mapping", type=EXISTING, help="TOML file that says which column is which field.")
@click.option(
    "--rejects", type=click.Path(path_type=Path), help="Where rejected rows go.  [default: data folder]"
)
@click.option(
    "--reject-limit",
    type=click.FloatRange(0, 1),
    default=0.02,
    show_default=True,
    help="Share of bad rows at which nothing is imported.",
)
@json_option
def import_(
    events: tuple[Path, ...],
    items: Path | None,
    customers: Path | None,
    mapping: Path | None,
    rejects: Path | None,
    reject_limit: float,
    as_json: bool,
) -> None:
    """Bring items, customers and events from files into the store.

    Reads CSV, CSV.gz, JSON lines and Parquet. An event that the store holds already is counted and left
    alone, so an import that was interrupted can be run again.
    """
    if not (events or items or customers):
        raise click.UsageError("give at least one of --events, --items and --customers")
    settings = settings_with()
    policy = load_policy(settings.policy_file)
    started = now()
    files = Files(events, mapping, items, customers, rejects, reject_limit)
    with progress_bar() as progress:
        parts = read_files(files, settings, policy, as_of=started, progress=progress)
        imported = write_to_store(parts, settings, at=started, progress=progress)
    if as_json:
        print_json({"imported": imported, "rejects": rejects_json(parts.reports)})
        return
    tell_rejects(parts.reports)
    say(
        f"imported {imported.items:,} items, {imported.customers:,} customers and {imported.events:,} events "
        f"({imported.duplicates:,} were there already)"
    )
