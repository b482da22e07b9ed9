"""Previews of models: what makes them, and the process that does: `python -m recsvc.previewing`.

In: the settings; and in that process, what is asked, as a line on standard input. Out: what a preview is made
by; an answer as JSON on standard output.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime

import msgspec
from threadpoolctl import threadpool_limits

from recsvc.apart import become_child
from recsvc.bundles.registry import Registry
from recsvc.observability import configure_logging
from recsvc.policy import Policy
from recsvc.reporting import policy_of
from recsvc.serving.checking import Checker, checker_in
from recsvc.serving.customers import SubjectReader
from recsvc.serving.kept_previews import PreviewAsked, Previews, previews_in
from recsvc.serving.preview import Previewer
from recsvc.serving.preview_making import PreviewMaker
from recsvc.settings import Settings, load_settings
from recsvc.stores.catalogue import SqlCatalogue
from recsvc.stores.contacts import SqlContacts
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import Database, open_database
from recsvc.stores.events import SqlEvents
from recsvc.stores.merchandising import SqlMerchandising
from recsvc.stores.tombstones import SqlTombstones
from recsvc.typed_decoding import decode_json

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
    asked = decode_json(sys.stdin.buffer.readline(), PreviewAsked)
    become_child()
    threadpool_limits(1, user_api="blas")
    settings = load_settings()
    configure_logging(settings.log_level)
    policy = policy_of(asked.policy_version, settings)
    checker = checker_in(settings.checks_dir, monotonic=time.monotonic)
    with closing(open_database(settings.store_url)) as database:
        maker = _maker(settings, database, policy, checker)
        answer = maker.answer(asked.ask, now=asked.as_of)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


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
