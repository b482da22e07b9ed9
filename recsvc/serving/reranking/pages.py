"""One page, one story. In: a request, the policy's pages. Out: what was asked before it on its page.

Nothing is remembered: what an earlier placement shows is worked out anew, by the same steps, so that it is
the same whatever was asked first; impressions count only once they are older than a page lasts. The
placements of a page are taken to be asked for alike: with the same kind, channel, categories, exclusions and
diversity.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace as with_changes

from recsvc.domain.slates import SlateRequest
from recsvc.policy_lists import PagePlacement, PagePolicy
from recsvc.serving.candidate import Candidate


def requests_of_page(request: SlateRequest, pages: Sequence[PagePolicy]) -> tuple[SlateRequest, ...]:
    """The requests for the earlier placements of the page in order, and at last the one that is asked.

    None asks for more items than its placement takes. Earlier placements that show another kind are left out.
    """
    for page in pages:
        names = [placement.name for placement in page.placements]
        if request.placement in names:
            *earlier, own = page.placements[: names.index(request.placement) + 1]
            return (
                *(_ask(request, placement) for placement in earlier if _shows(placement, request)),
                with_changes(request, limit=min(request.limit, own.items)),
            )
    return (request,)


def after(request: SlateRequest, shown: Sequence[Candidate]) -> SlateRequest:
    """The same request, without the items that were shown before."""
    if not shown:
        return request
    return with_changes(request, exclude=(*request.exclude, *(candidate.item.item_id for candidate in shown)))


def _shows(placement: PagePlacement, request: SlateRequest) -> bool:
    return placement.kind in (None, request.kind.value)


def _ask(request: SlateRequest, placement: PagePlacement) -> SlateRequest:
    return with_changes(request, placement=placement.name, limit=placement.items, explain=False)
