"""Items and customers from files: as recsvc writes them, or through a mapping."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import polars as pl
import pytest

from recsvc.domain.conditions import FieldKind, FieldType
from recsvc.domain.customers import Consents, Customer, Suitability
from recsvc.domain.items import Channel, Item, ItemKind, ItemStatus
from recsvc.domain.offer_terms import Disclosure, OfferTerms
from recsvc.errors import MappingError, SourceError, TooManyRejectsError
from recsvc.history.catalogue import read_customers, read_items
from recsvc.history.mapping import FileMapping
from recsvc.history.rejects import RejectionReport
from tests.history.examples import Mapped, rejects_in, write_json_lines

OFFER = Item(
    item_id="9b98b8c7a33c4b65b9aebfe6a799e6d9",
    kind=ItemKind.OFFER,
    title={"en": "A card", "zh": "一张卡"},
    category="cards",
    tags=("new",),
    published_at=datetime(2026, 1, 2, tzinfo=UTC),
    channels=(Channel.WEB, Channel.EMAIL),
    attributes={"points": 500, "gold": True},
    terms=OfferTerms(
        value=Decimal("12.50"),
        risk_class=3,
        disclosures=(Disclosure("d1", 2, {"en": "You may lose money.", "zh": "您可能蒙受损失。"}),),
    ),
)
ARTICLE = Item(item_id="-1479311724257856983", title={"en": "Saving"}, status=ItemStatus.PAUSED)


def items(
    path: Path, mapping: FileMapping | None = None, limit: float = 1.0
) -> tuple[tuple[Item, ...], RejectionReport]:
    return read_items(
        path, mapping or FileMapping(), rejects_path=path.parent / "rejects.jsonl", reject_limit=limit
    )


def customers(
    path: Path, mapping: FileMapping | None = None, limit: float = 1.0
) -> tuple[tuple[Customer, ...], RejectionReport]:
    return read_customers(
        path, mapping or FileMapping(), rejects_path=path.parent / "rejects.jsonl", reject_limit=limit
    )


def as_json(*values: object) -> list[object]:
    return [msgspec.to_builtins(value) for value in values]


def test_items_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = write_json_lines(tmp_path / "items.jsonl", as_json(OFFER, ARTICLE))
    assert items(path) == ((OFFER, ARTICLE), RejectionReport(n_rows=2))


def test_customers_come_back_as_they_were_written(tmp_path: Path) -> None:
    known = Customer(
        "c1",
        attributes={"age": 55, "city": "Wien", "risk": 0.5, "vip": False},
        locale="de",
        consents=Consents(True, (Channel.EMAIL,)),
        suitability=Suitability(max_risk_class=4, expires_at=datetime(2027, 1, 1, tzinfo=UTC)),
    )
    path = write_json_lines(tmp_path / "customers.jsonl.gz", as_json(known, Customer("c2")))
    assert customers(path)[0] == (known, Customer("c2"))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"kind": "offer"}, "missing_item_id"),
        ({"item_id": "a b"}, "bad_item_id"),
        ({"item_id": 7}, "bad_item_id"),
        ({"item_id": "a", "kind": "advert"}, "bad_kind"),
        ({"item_id": "a", "title": "no locale"}, "bad_title"),
        ({"item_id": "a", "channels": ["pigeon"]}, "bad_channels"),
        ({"item_id": "a", "published_at": "soon"}, "bad_published_at"),
        ({"item_id": "a", "published_at": "2026-01-01T00:00:00"}, "bad_published_at"),
        ({"item_id": "a", "kind": "offer", "terms": {"risk_class": 8}}, "bad_terms"),
        ({"item_id": "a", "terms": {}}, "bad_item"),
        ([], "unparsable_line"),
    ],
)
def test_a_bad_item_is_a_reject_with_a_reason(row: object, reason: str, tmp_path: Path) -> None:
    path = write_json_lines(tmp_path / "items.jsonl", [*as_json(ARTICLE), row])
    read, report = items(path)
    assert read == (ARTICLE,) and report.reasons == ((reason, 1),)
    (reject,) = rejects_in(tmp_path / "rejects.jsonl")
    assert reject["row"] == 2 and reject["reason"] == reason and reject["detail"]


def test_too_many_bad_items_stop_the_read(tmp_path: Path) -> None:
    path = write_json_lines(tmp_path / "items.jsonl", [*as_json(ARTICLE), {}])
    with pytest.raises(TooManyRejectsError, match=r"missing_item_id \(1\)"):
        items(path, limit=0.02)


def test_the_same_item_twice_counts_once_and_another_under_its_id_is_a_conflict(tmp_path: Path) -> None:
    other = Item(ARTICLE.item_id, title={"en": "Spending"})
    path = write_json_lines(tmp_path / "items.jsonl", as_json(ARTICLE, ARTICLE, other))
    read, report = items(path)
    assert read == (ARTICLE,) and report.n_duplicates == 1
    assert report.reasons == (("conflicting_item_id", 1),)


def test_a_misspelt_field_is_pointed_out(tmp_path: Path) -> None:
    path = write_json_lines(
        tmp_path / "items.jsonl", [{"item_id": "a", "titel": {"en": "x"}, "source": "cms"}]
    )
    assert items(path)[1].guesses == ("the column 'titel' was not read; did you mean 'title'?",)


MAPPING = """
[items]
locale = "en"
[items.columns]
item_id = "id"
title = "name"
tags = "genres"
channels = "where"
value = "worth"
risk_class = "risk"
published_at = "since"
[items.constants]
kind = "offer"
currency = "USD"
[items.attributes]
points = "points"
zip = "zip"
[items.lists]
tags = "|"
channels = ","
[items.channels]
app = "mobile"
social = ""
[items.dates]
since = "s"
[items.missing]
genres = ["(none)"]
"""
CSV = """id,name,genres,where,worth,risk,since,points,zip
-7,"Card, gold",a|b,"app,social",12.50,3,1485000000,5,01234
"""


def test_a_csv_row_becomes_an_offer(tmp_path: Path, mapped: Mapped) -> None:
    path = tmp_path / "offers.csv"
    path.write_bytes(("\ufeff" + CSV + "8,,(none),,,,,,\n").replace("\n", "\r\n").encode())
    (first, second), report = items(path, mapped(MAPPING))
    assert first == Item(
        "-7",
        ItemKind.OFFER,
        title={"en": "Card, gold"},
        tags=("a", "b"),
        channels=(Channel.MOBILE,),
        published_at=datetime.fromtimestamp(1485000000, UTC),
        attributes={"points": 5, "zip": "01234"},
        terms=OfferTerms(value=Decimal("12.50"), currency="USD", risk_class=3),
    )
    assert second == Item("8", ItemKind.OFFER, terms=OfferTerms(currency="USD"))
    assert report.n_rejected == 0


@pytest.mark.parametrize(
    ("was", "now", "reason"),
    [
        ("app,social", "social", "no_channel"),
        ("app,social", "pigeon", "bad_channels"),
        ("1485000000", "soon", "bad_time"),
        (",3,", ",high,", "bad_terms"),
        ("12.50", "dear", "bad_terms"),
        ("-7,", "a b,", "bad_item_id"),
        ("-7,", ",", "missing_item_id"),
        (",01234", "", "ragged_line"),
    ],
)
def test_a_bad_csv_row_is_a_reject(was: str, now: str, reason: str, tmp_path: Path, mapped: Mapped) -> None:
    path = tmp_path / "offers.csv"
    header, row = CSV.splitlines()
    path.write_text(f"{header}\n8,,,,,,,,\n{row.replace(was, now)}\n")
    assert items(path, mapped(MAPPING))[1].reasons == ((reason, 1),)


def test_a_float_is_no_item_id(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pl.DataFrame({"item_id": [1.0e18]}).write_parquet(path)
    with pytest.raises(TooManyRejectsError, match="bad_item_id"):
        items(path)


def test_without_a_mapping_the_id_is_found_and_said(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pl.DataFrame({"movieId": [-(2**63)], "title": ["Heat"], "tags": [["crime", "drama"]]}).write_parquet(path)
    (item,), report = items(path)
    assert item == Item(str(-(2**63)), title={"en": "Heat"}, tags=("crime", "drama"))
    assert report.guesses == ("item_id was read from the column 'movieId'",)


@pytest.mark.parametrize(
    "toml",
    [
        '[items.columns]\nitem_id = "ide"',
        '[items.columns]\nitem_id = "id"\n[items.attributes]\nx = "ide"',
        '[items.columns]\nitem_id = "id"\n[items.missing]\nide = [1]',
        '[items.columns]\nitem_id = "id"\n[items.dates]\nide = "s"',
    ],
)
def test_a_missing_column_is_named(toml: str, tmp_path: Path, mapped: Mapped) -> None:
    path = tmp_path / "items.csv"
    path.write_text("id,name\n1,2\n")
    with pytest.raises(MappingError, match=r"'ide'.*did you mean 'id'"):
        items(path, mapped(toml))


def test_a_file_without_ids_says_what_to_write(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("name\nAda\n")
    with pytest.raises(MappingError, match=r"customer_id.*\[customers.columns\]"):
        customers(path)


CUSTOMERS = """
[customers.columns]
customer_id = "who"
[customers.constants]
locale = "de"
[customers.consents]
personalisation = true
marketing = ["email"]
[customers.attributes]
age = "age"
income = "income"
member_since = "joined"
[customers.missing]
age = [118]
[customers.dates]
joined = "date"
"""


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_a_row_becomes_a_customer_without_what_is_not_known(
    suffix: str, tmp_path: Path, mapped: Mapped
) -> None:
    rows = [
        {"who": "c1", "age": 55, "income": 112000.0, "joined": 20170212},
        {"who": "c2", "age": 118, "income": None, "joined": 20170715},
    ]
    path = tmp_path / f"customers{suffix}"
    frame = pl.DataFrame(rows)
    if suffix == ".csv":
        frame.write_csv(path)
    elif suffix == ".parquet":
        frame.with_columns(pl.col("income").fill_null(float("nan"))).write_parquet(path)
    else:
        frame.write_ndjson(path)
    agreed = Consents(True, (Channel.EMAIL,))
    assert customers(path, mapped(CUSTOMERS))[0] == (
        Customer("c1", {"age": 55, "income": 112000.0, "member_since": "2017-02-12"}, "de", agreed),
        Customer("c2", {"member_since": "2017-07-15"}, "de", agreed),
    )


def test_an_empty_catalogue_is_said(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id\n")
    with pytest.raises(SourceError, match="no rows"):
        items(path)


def test_an_offer_whose_terms_are_wrong_is_rejected_by_their_name(tmp_path: Path) -> None:
    terms = {"disclosures": [{"id": "d1", "version": 1, "text": {"en": "You may lose money."}}]}
    rule = {"field": "attributes.age", "op": "at_least", "value": 18}
    offer = {"kind": "offer", "title": {"en": "A fund"}}
    rows = [
        {**offer, "item_id": "o1", "terms": {**terms, "eligibility": rule}},
        {**offer, "item_id": "o2", "title": {"en": "A fund", "zh": "基金"}, "terms": terms},
        {**offer, "item_id": "o3", "terms": {"eligibility": {**rule, "field": "attributes.shoe_size"}}},
        {**offer, "item_id": "o4", "terms": {"caps": [{"most": 0, "hours": 24}]}},
        {**offer, "item_id": "o5", "terms": {"budget": {"total": "9", "unit_cost": "1", "currency": "CHF"}}},
    ]
    path = tmp_path / "items.jsonl"
    path.write_bytes(msgspec.json.Encoder().encode_lines(rows))
    known = {"attributes.age": FieldType(FieldKind.NUMBER)}
    rejects = tmp_path / "rejects.jsonl"
    read, report = read_items(path, FileMapping(), rejects_path=rejects, reject_limit=1.0, fields=known)
    assert [(item.item_id, item.offer_terms.eligibility) for item in read] == [("o1", rule)]
    assert report.n_rejected == 4
    details = [msgspec.json.decode(line)["detail"] for line in rejects.read_bytes().splitlines()]
    places = (
        "/terms/disclosures/0/text/zh",
        "/terms/eligibility/field",
        "terms.caps",
        "currency of the terms",
    )
    for detail, place in zip(details, places, strict=True):
        assert place in detail
