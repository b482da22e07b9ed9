"""Reports that read much: what makes them, and the process that does: `python -m recsvc.reporting`.

In: the settings; and in that process, what is asked, as a line on standard input. Out: what a report is made
by; an answer as JSON on standard output.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime

from recsvc.answering import answer_one
from recsvc.experimentation.kept_reports import Asked, Facts, Reports, reports_in
from recsvc.experimentation.report_making import ReportMaker
from recsvc.policy import Policy
from recsvc.settings import Settings
from recsvc.stores.database import Database
from recsvc.stores.outcomes import SqlOutcomes
from recsvc.stores.reading_sizes import SqlReadingSizes
from recsvc.stores.satisfaction import SqlSatisfaction
from recsvc.stores.tombstones import SqlTombstones

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
    """Make the report that is asked for."""
    answer_one(Asked, lambda _settings, database, policy: _maker(database, policy))


def _maker(database: Database, policy: Policy) -> ReportMaker:
    return ReportMaker(SqlOutcomes(database), SqlSatisfaction(database), policy)


if __name__ == "__main__":
    main()
