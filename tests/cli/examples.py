"""A small history that can be learned from, in every kind of file, and what a command did."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from recsvc.domain.decisions import make_grounds
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.policy_lists import ListsPolicy
from recsvc.policy_offers import OffersPolicy
from recsvc.serving.offers.deciding import decide
from recsvc.serving.offers.facts import AnswerFacts, CustomerFacts, Facts, ListFacts
from recsvc.serving.offers.slates import decision_of, slate_of
from recsvc.serving.offers.table import make_table
from recsvc.stores.database import open_database
from tests.offer_ledgers import enter

Row = Mapping[str, object]
MAPPINGS = Path(__file__).parents[2] / "scripts" / "mappings"


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> Any:
        """The JSON object on standard output, which holds nothing else."""
        assert self.code == 0, self.err
        return json.loads(self.out)


Run = Callable[..., Outcome]


def a_history(n_customers: int = 60, n_items: int = 40, n_days: int = 30) -> list[Row]:
    """Two kinds of customers, who go through one half of the items each, over some days until today."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=n_days)
    half = n_items // 2
    return [
        {
            "type": "purchase" if turn % 3 == 0 else "view",
            "customer_id": f"c{customer}",
            "item_id": f"i{(customer % 2) * half + (7 * customer + 3 * turn) % half}",
            "occurred_at": (start + timedelta(days=turn * n_days / 10, minutes=customer)).isoformat(),
        }
        for turn in range(10)
        for customer in range(n_customers)
    ]


def some_items(n_items: int = 40) -> list[Row]:
    """The items of a history: two categories for each kind of customers."""
    return [
        {"item_id": f"i{item}", "kind": "content", "category": f"category {4 * item // n_items}"}
        for item in range(n_items)
    ]


def write_rows(path: Path, rows: Iterable[Row]) -> Path:
    """Write rows as what the suffix says."""
    found = list(rows)
    if path.suffix == ".parquet":
        pl.DataFrame(found).write_parquet(path)
        return path
    lines = [json.dumps(row) for row in found]
    if ".csv" in path.suffixes:
        lines = [",".join(found[0]), *(",".join(map(str, row.values())) for row in found)]
    text = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def contents(folder: Path) -> dict[str, str]:
    """Every file and folder below a folder, with what the files hold."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


def keep_a_decision(home: Path) -> str:
    """Keep one decision, of no offers at all, in the store of the home; its id."""
    now = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    facts = Facts(
        "s_1",
        now,
        CustomerFacts("c1", may_market=True),
        ListFacts(10, Channel.WEB, "home", "en"),
        ListsPolicy(),
        "p1",
        answer=AnswerFacts((), now, ()),
    )
    table, policy = make_table([Item("loan", ItemKind.OFFER)], {}), OffersPolicy()
    decided = decide(facts, table, policy)
    grounds = make_grounds(table.items, policy, {})
    assert facts.answer is not None
    decision = decision_of(facts, decided, slate_of(facts, facts.answer, decided, table), grounds)
    with closing(open_database(f"sqlite:///{home / 'data' / 'recsvc.sqlite3'}")) as database:
        enter(database, decision, grounds)
    return decision.decision_id
