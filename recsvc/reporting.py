"""Reports that read much: what makes them, and the process that does: `python -m recsvc.reporting`.

In: the settings; and in that process, what is asked, as a line on standard input. Out: what a report is made
by; an answer as JSON on standard output.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from datetime import datetime

import msgspec
from threadpoolctl import threadpool_limits

from recsvc.apart import become_child
from recsvc.experimentation.kept_reports import Asked, Facts, Reports, reports_in
from recsvc.experimentation.report_making import ReportMaker
from recsvc.observability import configure_logging
from recsvc.policy import Policy, load_policy
from recsvc.settings import Settings, load_settings
from recsvc.stores.database import Database, open_database
from recsvc.stores.outcomes import SqlOutcomes
from recsvc.stores.reading_sizes import SqlReadingSizes
from recsvc.stores.satisfaction import SqlSatisfaction
from recsvc.stores.tombstones import SqlTombstones
from recsvc.typed_decoding import decode_json

COMMAND = (sys.executable, "-m", "recsvc.reporting")


def reports_of(
    settings: Settings,
    database: Database,
    policy: Policy,
    *,
    clock: Callable[[], datetime],
    monotonic: Callable[[], float],
) -> Reports:
    """What has reports on the store made, for a process that answers requests."""
    facts = Facts(SqlReadingSizes(database).is_small, SqlTombstones(database).last_erasure, database.where)
    maker = _maker(database, policy)
    return reports_in(settings.reports_dir, maker, facts, COMMAND, clock=clock, monotonic=monotonic)


def main() -> None:
    """Make the report that is asked for. Its moment is told, so that the same store says the same again."""
    asked = decode_json(sys.stdin.buffer.readline(), Asked)
    become_child()
    threadpool_limits(1, user_api="blas")
    settings = load_settings()
    configure_logging(settings.log_level)
    policy = policy_of(asked.policy_version, settings)
    with closing(open_database(settings.store_url)) as database:
        maker = _maker(database, policy)
        answer = maker.answer(asked.ask, now=asked.as_of)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


def policy_of(version: str, settings: Settings) -> Policy:
    """The policy that a report is to be made by. Raises SystemExit: it is no more what the server has."""
    policy = load_policy(settings.policy_file)
    if policy.version != version:
        sys.exit("the policy file was changed since the server began, so no report is made: start it again")
    return policy


def _maker(database: Database, policy: Policy) -> ReportMaker:
    return ReportMaker(SqlOutcomes(database), SqlSatisfaction(database), policy)


if __name__ == "__main__":
    main()
