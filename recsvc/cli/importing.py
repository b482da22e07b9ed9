"""`recsvc import`: bring items, customers and events into the store."""

from __future__ import annotations

import click

from recsvc.cli.reports import rejects_json, tell_rejects
from recsvc.cli.sources import Files, files_options, read_files, write_to_store
from recsvc.cli.terminal import json_option, print_json, progress_bar, say, settings_with
from recsvc.clock_and_ids import now
from recsvc.policy import load_policy


@click.command(
    "import",
    epilog="\b\nExample:\n  recsvc import --items items.jsonl --events events.csv.gz\n",
)
@files_options
@json_option
def import_(files: Files, as_json: bool) -> None:
    """Bring items, customers and events from files into the store.

    Reads CSV, CSV.gz, JSON lines and Parquet. An event that the store holds already is counted and left
    alone, so an import that was interrupted can be run again.
    """
    if not (files.events or files.items or files.customers):
        raise click.UsageError("give at least one of --events, --items and --customers")
    settings = settings_with()
    policy = load_policy(settings.policy_file)
    started = now()
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
