"""Previews of models: what makes them, and the process that does: `python -m recsvc.previewing`.

In: the settings; and in that process, what is asked, as a line on standard input. Out: what a preview is made
by; an answer as JSON on standard output.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import datetime

from recsvc.answering import answer_one
from recsvc.bundles.registry import Registry
from recsvc.policy import Policy
from recsvc.serving.checking import Checker, checker_in
from recsvc.serving.customers import SubjectReader
from recsvc.serving.kept_previews import PreviewAsked, Previews, previews_in
from recsvc.serving.preview import Previewer
from recsvc.serving.preview_making import PreviewMaker
from recsvc.settings import Settings
from recsvc.stores.catalogue import SqlCatalogue
from recsvc.stores.contacts import SqlContacts
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import Database
from recsvc.stores.events import SqlEvents
from recsvc.stores.merchandising import SqlMerchandising
from recsvc.stores.tombstones import SqlTombstones

COMMAND = (sys.executable, "-m", "recsvc.previewing")


def previews_of(
    settings: Settings,
    database: Database,
    policy: Policy,
    checker: Checker,
    *,
    clock: Callable[[], datetime],
    monotonic: Callable[[], float],
) -> Previews:
    """What has previews of the shelf's models made, for a process that answers requests."""
    maker = _maker(settings, database, policy, checker)
    last_erasure = SqlTombstones(database).last_erasure
    store = f"{database.where} {settings.models_dir.resolve()}"
    return previews_in(
        settings.reports_dir, maker, COMMAND, last_erasure, store, clock=clock, monotonic=monotonic
    )


def main() -> None:
    """Make the preview that is asked for."""
    answer_one(PreviewAsked, _maker_alone)


def _maker_alone(settings: Settings, database: Database, policy: Policy) -> PreviewMaker:
    return _maker(settings, database, policy, checker_in(settings.checks_dir, monotonic=time.monotonic))


def _maker(settings: Settings, database: Database, policy: Policy, checker: Checker) -> PreviewMaker:
    previewer = Previewer(
        SqlCatalogue(database),
        SqlMerchandising(database).rules,
        SubjectReader(SqlCustomers(database), SqlEvents(database), policy),
        policy,
        contacts=lambda is_content: SqlContacts(database, policy.offers, is_content=is_content),
    )
    return PreviewMaker(Registry(settings.models_dir), checker, previewer, policy.version)


if __name__ == "__main__":
    main()
