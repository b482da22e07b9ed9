"""`recsvc decisions` and `recsvc replay`: whether the log is whole, what a decision was, and it again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import click
import msgspec

from recsvc.cli.terminal import (
    json_option,
    print_json,
    progress_bar,
    say,
    settings_with,
    stdout,
    table_of,
)
from recsvc.domain.decision_chain import Break
from recsvc.errors import StoreError
from recsvc.serving.offers.replaying import replay
from recsvc.stores.database import open_database
from recsvc.stores.decisions import SqlDecisions


@click.group()
def decisions() -> None:
    """Check and show the log of offer decisions."""


@decisions.command(epilog="\b\nExample:\n  recsvc decisions verify --json\n")
@json_option
def verify(as_json: bool) -> None:
    """Read the whole log, and name the first entry that was changed.

    Exit code 1 where there is one.
    """
    n, n_erasures, found = 0, 0, None
    with _log() as log, progress_bar() as progress:
        for entry, share in log.verified():
            if isinstance(entry, Break):
                found = entry
                break
            n += 1
            n_erasures += entry.is_erasure
            progress("verify", share)
    if as_json:
        print_json({"entries": n, "sound": found is None, "broken": msgspec.to_builtins(found)})
    if found is not None:
        named = f" ({found.decision_id})" if found.decision_id else ""
        raise StoreError(f"entry {found.sequence} of the decision log{named}: {found.what}")
    if not as_json:
        erased = f", {n_erasures:,} of them erasures" if n_erasures else ""
        say(f"{n:,} entries{erased}, and every one is what was written")


@decisions.command(epilog="\b\nExample:\n  recsvc decisions show s_3f9a1c0b5d2e4f60\n")
@click.argument("decision_id")
@json_option
def show(decision_id: str, as_json: bool) -> None:
    """Show one decision: what was chosen, and why the others were not."""
    with _log() as log:
        decision = log.get(decision_id)
    if as_json:
        print_json(decision.told())
        return
    who = decision.customer_id or "somebody who was erased"
    at = f"{decision.decided_at:%Y-%m-%d %H:%M:%S}"
    say(f"{decision_id}: for {who} at {at}, by policy {decision.policy_version}")
    places = {one.offer_id: str(one.position) for one in decision.chosen}
    table = table_of(list(decision.judged.offer_ids), "offer", "place", "refused by", "compared")
    for one in decision.judged.each():
        compared = ", ".join(f"{name} {value}" for name, value in one.compared.items())
        table.add_row(one.offer_id, places.get(one.offer_id, ""), one.refused_by or "", compared)
    stdout.print(table)


@click.command("replay", epilog="\b\nExample:\n  recsvc replay --decision s_3f9a1c0b5d2e4f60\n")
@click.option("--decision", "decision_id", required=True, help="Its id, which is that of its slate.")
@json_option
def replay_one(decision_id: str, as_json: bool) -> None:
    """Make an offer decision again, from what was kept of it.

    Prints the answer. Exit code 1 where it differs.
    """
    with _log() as log:
        decision = log.get(decision_id)
        grounds = log.grounds(decision.grounds)
    try:
        again = replay(decision, grounds)
    except ValueError as error:
        raise StoreError(f"{decision_id} cannot be made again: {error}") from error
    if as_json:
        print_json({"decision_id": decision_id, "same": not again.differs, "differs": again.differs})
    else:
        click.echo(again.body.decode())
    if again.differs:
        raise StoreError(f"{decision_id} comes out otherwise: {', '.join(again.differs)}")


@contextmanager
def _log() -> Iterator[SqlDecisions]:
    with closing(open_database(settings_with().store_url)) as database:
        yield SqlDecisions(database)
