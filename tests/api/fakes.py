"""Small stand-ins for what the API calls, and callers that send requests as the wire would."""

from __future__ import annotations

import io
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication

from recsvc.bundles.gate_report import Decision, GateReason, GateReport, SegmentOutcome
from recsvc.bundles.manifest import DataWindow, Manifest, Measured, PartFacts, RowCounts
from recsvc.bundles.registry import Aliases
from recsvc.domain.access import ROLE_SCOPES, ApiKey, Role, Scope
from recsvc.domain.customers import Customer
from recsvc.domain.decisions import Decision as OfferDecision
from recsvc.domain.decisions import Finding, Gate, Judged
from recsvc.domain.experiments import Experiment, ExperimentVariant
from recsvc.domain.exposures import Exposure
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.offer_life import PutMany, PutOffer
from recsvc.domain.profiles import Figure, Portrait
from recsvc.domain.records import ErasureReceipt, Taken, Versioned, Written
from recsvc.domain.slates import OfferItem, Reason, ShownDisclosure, Slate, SlateItem, SlateRequest, Source
from recsvc.errors import (
    EventConflictError,
    NotFoundError,
    PreconditionFailedError,
    PreconditionRequiredError,
    StoreError,
)
from recsvc.experimentation.desks import ExperimentDesk, IdentityDesk
from recsvc.experimentation.units import Units
from recsvc.kept_answers import Place
from recsvc.policy import load_policy
from recsvc.policy_experiments import ExperimentsPolicy
from recsvc.services import Services
from recsvc.serving.answers import CacheStatus, HealthReport, ItemList, LiveReport, ServedSlate, render_slate
from recsvc.serving.catalogue_view import make_view
from recsvc.serving.desks import MerchandisingDesk
from recsvc.serving.models_desk import ModelFacts, ModelShelf, ShelvedModel
from recsvc.serving.offers.auditing import DecisionPage, Explanation
from recsvc.serving.offers.desk import OfferDesk
from recsvc.serving.preview import PersonaLists, Preview, Reach, ShownItem
from recsvc.serving.training_desk import TrainingDesk
from recsvc.settings import Settings
from recsvc.stores.memory import MemoryCatalogue, MemoryCustomers, MemoryEvents
from recsvc.stores.memory_experiments import MemoryExperiments
from recsvc.stores.memory_exposures import MemoryExposures
from recsvc.stores.memory_identities import MemoryIdentities
from recsvc.stores.memory_merchandising import MemoryMerchandising
from recsvc.stores.memory_offer_versions import MemoryOfferVersions
from recsvc.stores.memory_satisfaction import MemorySatisfaction
from recsvc.stores.memory_training_runs import MemoryTrainingRuns
from recsvc.telemetry import Telemetry, WorkerState
from tests.api.fake_experiments import tried
from tests.fake_jobs import FakeJobs

T = TypeVar("T")

NOW = datetime(2026, 11, 22, 10, 20, tzinfo=UTC)
CONTENT = "/v1/customers/c1/recommendations/content"
OFFERS = "/v1/customers/c1/recommendations/offers"

RULED = make_view(
    (
        Item("a7", category="saving"),
        Item("a8", category="saving", valid_to=NOW),
        Item("o3", ItemKind.OFFER, category="saving"),
    ),
    None,
    revision=1,
)

STATE = WorkerState(None, None, redis=True, store=True, events_behind=0)
READER = "rs_reader"
KEYS: dict[str, frozenset[Scope]] = {
    READER: frozenset({Scope.RECS_READ}),
    "rs_ingest": frozenset({Scope.EVENTS_WRITE}),
    "rs_nothing": frozenset(),
    **{f"rs_{role.value}": ROLE_SCOPES[role] for role in Role},
}


def a_slate(request: SlateRequest) -> Slate:
    item = SlateItem(
        item_id="a7",
        position=1,
        score=0.83,
        title="Three months of reserves",
        category="saving",
        url="/articles/a7",
        reason=Reason("because_you_read", "因为您看过“第一份预算”", ("a2",)),
        propensity=1.0,
    )
    offer = OfferItem(
        **{name: getattr(item, name) for name in SlateItem.__slots__},
        disclosures=(ShownDisclosure("rate", 2, "The rate may change."),),
        valid_to=NOW + timedelta(days=30),
    )
    return Slate(
        slate_id="s_1",
        customer_id=request.customer_id,
        kind=request.kind,
        channel=request.channel,
        placement=request.placement,
        locale=request.locale or "en",
        items=(item if request.kind is ItemKind.CONTENT else offer,),
        source=Source.PERSONALISED,
        model_version="20261122T101500Z-als-3f9a1c",
        policy_version="0d7be3a4c512",
        generated_at=NOW,
        expires_at=NOW + timedelta(seconds=300),
    )


@dataclass
class FakeEngine:
    """Answers every request, keeps what it was asked, and fails when told to.

    All stands ready, unless it has to be asked for.
    """

    asked: list[SlateRequest] = field(default_factory=list)
    failure: Exception | None = None
    is_at_hand: bool = True

    def recommend(self, request: SlateRequest) -> ServedSlate:
        self.asked.append(request)
        if self.failure is not None:
            raise self.failure
        slate = a_slate(request)
        return ServedSlate(
            render_slate(slate),
            '"9d2f61"',
            slate.source,
            slate.model_version,
            slate.generated_at,
            slate.expires_at,
            CacheStatus.HIT,
        )

    def recommend_many(self, requests: Sequence[SlateRequest]) -> Iterator[ServedSlate]:
        return map(self.recommend, requests)

    def at_hand(self, request: SlateRequest) -> ServedSlate | None:
        return self.recommend(request) if self.is_at_hand else None

    def ask(self, request: SlateRequest, heard: Callable[[ServedSlate | None], object]) -> bool:
        heard(self.recommend(request))
        return True


class FakeComputing:
    """Allows everything, and counts who asked."""

    def __init__(self) -> None:
        self.n_allowances = 0

    @contextmanager
    def allowance(self) -> Iterator[None]:
        self.n_allowances += 1
        yield


@dataclass
class FakeVisitors:
    """Answers every visitor, and keeps what it was told of each."""

    asked: list[tuple[SlateRequest, list[Interaction]]] = field(default_factory=list)

    def recommend_visitor(self, request: SlateRequest, did: Sequence[Interaction]) -> Slate:
        self.asked.append((request, list(did)))
        return replace(a_slate(request), customer_id=None)


@dataclass
class FakeBrowser:
    """Knows the item a7."""

    asked: list[Mapping[str, Any]] = field(default_factory=list)

    def similar(self, item_id: str, *, limit: int, channel: Channel, locale: str | None) -> ItemList:
        if item_id != "a7":
            raise NotFoundError("there is no such item, or it is not live")
        return self._list(limit=limit, channel=channel, locale=locale)

    def trending(
        self, *, kind: ItemKind, limit: int, channel: Channel, locale: str | None, categories: tuple[str, ...]
    ) -> ItemList:
        return self._list(kind=kind, limit=limit, channel=channel, locale=locale, categories=categories)

    def _list(self, **asked: Any) -> ItemList:
        self.asked.append(asked)
        items = a_slate(SlateRequest(asked.get("kind", ItemKind.CONTENT), "c1")).items
        return ItemList(items, Source.POPULAR, "20261122T101500Z-als-3f9a1c", NOW)


@dataclass
class FakeKeys:
    """Knows `KEYS`; every text that it is asked for is kept."""

    asked: list[str] = field(default_factory=list)
    down: bool = False

    def authenticate(self, key_text: str) -> ApiKey | None:
        self.asked.append(key_text)
        if self.down:
            raise StoreError("the store does not answer")
        scopes = KEYS.get(key_text)
        return None if scopes is None else ApiKey(f"k_{key_text}", "0" * 64, "test", scopes, NOW)


@dataclass
class FakeHealth:
    """Reports what it is told to."""

    current: HealthReport = field(
        default_factory=lambda: HealthReport(
            ready=True,
            degraded=(),
            model_version="20261122T101500Z-als-3f9a1c",
            refused_bundles=(),
            n_items=640,
            redis=True,
            store=True,
            live=LiveReport(7, 0, False),
        )
    )

    def report(self) -> HealthReport:
        return self.current


@dataclass
class FakeIntake:
    """Counts an id that it has taken before as a duplicate, and fails when told to."""

    taken: dict[str, Interaction] = field(default_factory=dict)
    failure: Exception | None = None

    def take(self, events: Sequence[Interaction]) -> Taken:
        if self.failure is not None:
            raise self.failure
        known = [event.event_id for event in events if event.event_id in self.taken]
        taken = [name for name in known if self.taken[name] not in events]
        if taken:
            raise EventConflictError(taken)
        self.taken.update({event.event_id: event for event in events})
        return Taken(len(events) - len(known), len(known))


@dataclass
class FakeDesk(Generic[T]):
    """Keeps records by id as a desk does; the etag counts the changes."""

    id_of: Callable[[T], str]
    kept: dict[str, Versioned[T]] = field(default_factory=dict)
    failure: Exception | None = None

    def get(self, record_id: str) -> Versioned[T] | None:
        if self.failure is not None:
            raise self.failure
        return self.kept.get(record_id)

    def put(self, record: T, *, expected: str | None) -> Written:
        found = self.get(self.id_of(record))
        self._check(found, expected)
        etag = f"v{len(self.kept) if found is None else int(found.etag[1:]) + 1}"
        self.kept[self.id_of(record)] = Versioned(record, etag, NOW)
        return Written(etag, created=found is None)

    def put_many(self, records: Sequence[T]) -> int:
        for record in records:
            self.put(record, expected="*" if self.get(self.id_of(record)) else None)
        return len(records)

    def retire(self, record_id: str, *, expected: str | None) -> bool:
        found = self.get(record_id)
        if found is not None:
            self._check(found, expected)
            del self.kept[record_id]
        return found is not None

    def _check(self, found: Versioned[T] | None, expected: str | None) -> None:
        if found is not None and expected is None:
            raise PreconditionRequiredError
        if expected is not None and (found is None or expected not in ("*", found.etag)):
            raise PreconditionFailedError


@dataclass
class FakeItemDesk(FakeDesk[Item]):
    """Keeps items, whoever sends them, and makes no versions of them."""

    def put(self, record: Item, *, expected: str | None, by: str = "") -> PutOffer:  # type: ignore[override]
        return PutOffer(record, super().put(record, expected=expected))

    def put_many(self, records: Sequence[Item], *, by: str = "") -> PutMany:  # type: ignore[override]
        return PutMany(super().put_many(records))

    def retire(self, record_id: str, *, expected: str | None, by: str = "") -> bool:
        return super().retire(record_id, expected=expected)


@dataclass
class FakePortraits:
    """Knows the customers c1 and c2."""

    known: tuple[str, ...] = ("c1", "c2")

    def portrait(self, customer_id: str) -> Portrait | None:
        if customer_id not in self.known:
            return None
        figure = Figure(0.5, "share", "what it is", 90, NOW)
        figures = {field.name: figure for field in fields(Portrait) if field.type == "Figure"}
        return Portrait(customer_id, NOW, "events", None, "everyone", ("everyone", "active"), **figures)


@dataclass
class FakePrivacy:
    """Erases anybody, and exports one document in pieces."""

    erased: list[str] = field(default_factory=list)
    failure: Exception | None = None

    def erase(self, customer_id: str) -> ErasureReceipt:
        if self.failure is not None:
            raise self.failure
        self.erased.append(customer_id)
        return ErasureReceipt("r1", NOW, NOW, {"events": 2, "customer": 1})

    def export(self, customer_id: str) -> Iterator[bytes]:
        if self.failure is not None:
            raise self.failure
        yield from (b'{"customer_id":', json.dumps(customer_id).encode(), b"}")


def surveyed() -> MemorySatisfaction:
    """Two customers who answered, one who did not; c1 and c2 met the variants of one experiment."""
    events, a_day = MemoryEvents(), timedelta(days=1)
    answers = [
        Interaction("e1", "nps", "c1", None, NOW - 2 * a_day, Channel.WEB, score=9, scale=10),
        Interaction("e2", "nps", "c2", None, NOW - a_day, Channel.EMAIL, score=3, scale=10),
        Interaction("e3", "ces", "c2", None, NOW - a_day, Channel.EMAIL, score=6, scale=7),
        Interaction("e4", "view", "c3", "a7", NOW - a_day),
    ]
    events.append(answers, received_at=NOW)
    variants = tuple(ExperimentVariant(key, "v1", 50) for key in "ab")
    met = [
        Exposure("rates", 1, customer_id, variant, NOW - 3 * a_day, Channel.WEB, "v1")
        for customer_id, variant in (("c1", "a"), ("c2", "b"))
    ]
    experiments = [Experiment("rates", variants, phase=1)]
    return MemorySatisfaction(events, MemoryCustomers(), experiments=experiments, exposures=met)


def fault_of(version: str) -> str | None:
    """Knows m1, m2 and the version of the examples, and that bad is refused."""
    if version == "bad":
        return "bundle bad is refused: its manifest is damaged; train again or roll back"
    known = ("m1", "m2", "20261122T101500Z-als-3f9a1c")
    return None if version in known else f"there is no model version {version}; see recsvc models list"


def a_manifest(version: str) -> Manifest:
    measured = Measured(0.12, 0.11, 0.13)
    return Manifest(
        version=version,
        parts=(PartFacts("als", 1.0, {"n_factors": 16, "confidence": 40.0}),),
        strength_scale=1.0,
        created_at=NOW,
        seed=1,
        data_window=DataWindow(NOW - timedelta(days=90), NOW),
        rows=RowCounts(50, 40, 900, 700),
        policy_version="0d7be3a4c512",
        categories=("saving",),
        segments=("everyone",),
        channels=("web",),
        libraries={"recsvc": "0.1.0"},
        metrics={"als": {"ndcg@20": measured}},
        holdout="first-time interactions from 2026-11-16 on",
        arrays={},
        golden_queries=(),
        name="sunday",
    )


@dataclass
class FakeModels:
    """Knows the versions m1, the champion, and m2; fails when told to."""

    aliases: Aliases = field(default_factory=lambda: Aliases("m1", "m2", ("m0",)))
    failure: Exception | None = None

    def shelf(self) -> ModelShelf:
        self._fail()
        facts = a_manifest("m1")
        measured = facts.metrics["als"]
        sound = ShelvedModel("m1", "champion", "als", "sunday", NOW, measured, Decision.PROMOTE, None)
        broken = ShelvedModel("m2", "challenger", None, None, None, {}, None, "cannot be parsed")
        return ModelShelf("m1", "m2", (broken, sound))

    def facts(self, version: str) -> ModelFacts:
        self._find(version)
        segment = SegmentOutcome("everyone", 12, None, None)
        reasons = (GateReason("no_worse", "ndcg@20 0.1 against 0.1"),)
        gate = GateReport(version, "m0", Decision.PROMOTE, reasons, segments=(segment,))
        return ModelFacts("champion", a_manifest(version), gate)

    def preview(self, version: str, place: Place) -> Preview:
        self._find(version)
        with place:
            return self._preview(version)

    def _preview(self, version: str) -> Preview:
        shown = ShownItem("a7", "Three months of reserves", "saving")
        return Preview(
            version=version,
            champion="m1",
            catalogue_revision=7,
            n_customers=50,
            overlap=0.5,
            n_changed=40,
            offers=(Reach("o3", "Savings account", 9, 3),),
            categories=(Reach("saving", None, 9, 3),),
            segments=(SegmentOutcome("everyone", 12, None, None),),
            personas=(PersonaLists("a reader", (shown,), (shown,), ()),),
        )

    def promote(self, version: str) -> Aliases:
        self._find(version)
        self.aliases = Aliases(version, None, ("m1",))
        return self.aliases

    def roll_back(self) -> Aliases:
        self._fail()
        return Aliases("m0", "m2", ())

    def _find(self, version: str) -> None:
        self._fail()
        if version not in ("m1", "m2"):
            raise NotFoundError("there is no such model version")

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class FakeAudit:
    """Knows one decision of everybody, and one offer."""

    def decisions(self, customer_id: str, *, before: int | None, limit: int) -> DecisionPage:
        return DecisionPage((a_decision(customer_id),), 7 if limit == 1 else None)

    def explanation(self, request: SlateRequest, offer_id: str) -> Explanation:
        if offer_id != "o3":
            raise NotFoundError("there is no such offer")
        shut = Finding(Gate.SUITABILITY, False, {"risk_class": 5, "max_risk_class": None}, "Ask them.")
        return Explanation(
            offer_id, 1, NOW, request.channel, request.placement, None, shut.gate, (), None, (shut,), "No."
        )


def a_decision(customer_id: str) -> OfferDecision:
    """A decision as the log keeps it."""
    return OfferDecision(
        decision_id="s_1",
        customer_id=customer_id,
        decided_at=NOW,
        channel=Channel.WEB,
        placement="home",
        locale="en",
        profile_version=None,
        policy_version="p1",
        model_version=None,
        experiment=None,
        variant=None,
        seed=7,
        judged=Judged(("o3",), (1,), (Gate.SUITABILITY,), ({"risk_class": 5, "max_risk_class": None},)),
        chosen=(),
        facts='{"secret": true}',
        body_digest="00",
        grounds="11",
    )


def fake_services(*, experiments_policy: ExperimentsPolicy | None = None, **settings: Any) -> Services:
    """Services made of fakes; `settings` are those that differ from the defaults."""
    identities = MemoryIdentities(MemoryExposures())
    units = Units(identities)
    ids = (f"{number:032x}" for number in itertools.count(1))
    experiment_results, satisfaction = tried(load_policy(), surveyed(), NOW)
    defaults = {f.name: f.metadata["default"] for f in Settings.__dataclass_fields__.values()}
    return Services(
        settings=Settings(**{**defaults, **settings}),
        policy=load_policy(),
        engine=FakeEngine(),
        visitors=FakeVisitors(),
        computing=FakeComputing(),
        browser=FakeBrowser(),
        keys=FakeKeys(),
        health=FakeHealth(),
        intake=FakeIntake(),
        customers=FakeDesk[Customer](lambda customer: customer.customer_id),
        catalogue=FakeItemDesk(lambda item: item.item_id),
        offers=OfferDesk(
            MemoryOfferVersions(MemoryCatalogue()),
            standing=lambda _: None,
            approval="required",
            clock=lambda: NOW,
        ),
        audit=FakeAudit(),
        merchandising=MerchandisingDesk(
            MemoryMerchandising(MemoryCatalogue()), view=lambda: RULED, clock=lambda: NOW
        ),
        training_runs=TrainingDesk(
            MemoryTrainingRuns(),
            FakeJobs(),
            load_policy().training,
            clock=lambda: NOW,
            new_id=lambda: next(ids),
        ),
        portraits=FakePortraits(),
        experiment_results=experiment_results,
        satisfaction=satisfaction,
        privacy=FakePrivacy(),
        experiments=ExperimentDesk(
            MemoryExperiments(),
            units,
            experiments_policy or ExperimentsPolicy(),
            fault_of=fault_of,
            clock=lambda: NOW,
        ),
        identities=IdentityDesk(identities, units, clock=lambda: NOW),
        models=FakeModels(),
        clock=lambda: NOW,
        telemetry=Telemetry(None, lambda: STATE, pid=0, clock=lambda: NOW),
        new_id=lambda: next(ids),
    )


@dataclass(frozen=True)
class Reply:
    """An answer as the server would send it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for given, value in self.headers if given.lower() == name.lower()]
        assert len(values) <= 1, f"{name} is sent {len(values)} times"
        return values[0] if values else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def pointers(self) -> list[str]:
        return [error["pointer"] for error in self.json.get("errors", ())]


def _place_at_granian(name: str) -> int:
    """Headers come last in the environment, those of the body first, after the body's stream."""
    places = {"wsgi.input": 1, "CONTENT_TYPE": 2, "CONTENT_LENGTH": 2}
    return 3 if name.startswith("HTTP_") else places.get(name, 0)


def send(
    app: WSGIApplication,
    target: str,
    *,
    method: str = "GET",
    key: str | None = READER,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    environ: Mapping[str, Any] | None = None,
) -> Reply:
    """Send a request whose target is taken as it would stand on the wire, percent-encoding and all."""
    path, _, query = target.encode("utf-8").decode("latin-1").partition("?")
    sent: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1:8000",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if body:
        sent["CONTENT_LENGTH"] = str(len(body))
    if key is not None:
        sent["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    for name, value in headers:
        variable = name.upper().replace("-", "_")
        is_plain = variable in {"CONTENT_TYPE", "CONTENT_LENGTH"}
        sent[variable if is_plain else f"HTTP_{variable}"] = value
    sent.update(environ or {})
    sent = dict(sorted(sent.items(), key=lambda pair: _place_at_granian(pair[0])))
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, given: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started.append((status, given))

    chunks = app(sent, start_response)
    content = b"".join(chunks)
    (status, given) = started[-1]
    return Reply(int(status[:3]), given, content)
