"""Which content stands beside a list of offers.

In: a request for offers, the policy. Out: requests for content.

Offers give way to content, and never content to offers. Where the placement is on a page of the policy, all
content placements of the page stand beside the offers. Elsewhere a front end may ask for both lists of one
placement, and the content list of the same name is taken to stand beside; it is looked at only where the
policy keeps pairs apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace as with_changes

from recsvc.domain.items import Item, ItemKind
from recsvc.domain.slates import SlateRequest
from recsvc.policy import Policy
from recsvc.policy_lists import PagePlacement, PagePolicy
from recsvc.serving.offers.table import OfferTable
from recsvc.serving.reranking.likeness import names_of

USUAL_LIMIT = 10
"""So many articles at least are taken to stand beside offers where no page says how many there are."""


def content_beside(request: SlateRequest, policy: Policy) -> SlateRequest | None:
    """The request whose answer, with what comes before it on its page, is all content beside the offers."""
    # What narrows a list of offers says nothing of the articles.
    content = with_changes(request, kind=ItemKind.CONTENT, categories=(), exclude=(), explain=False)
    page = _page_of(request, policy.pages)
    if page is not None:
        last = _last_of_content(page, policy)
        return None if last is None else with_changes(content, placement=last.name, limit=last.items)
    if not policy.offers.pairs:
        return None
    return with_changes(content, limit=max(request.limit, USUAL_LIMIT))


def categories_of(articles: Iterable[Item]) -> tuple[str, ...]:
    """The categories of the articles, by name."""
    return tuple(sorted({one.category for one in articles if one.category is not None}))


def alike(articles: Sequence[Item], table: OfferTable) -> tuple[str, ...]:
    """The offers that are one with one of the articles: of the same series, or with the same title."""
    taken = {name for one in articles for name in names_of(one)}
    return tuple(one.item_id for one in table.items if taken and not taken.isdisjoint(names_of(one)))


def _page_of(request: SlateRequest, pages: Sequence[PagePolicy]) -> PagePolicy | None:
    for page in pages:
        if request.placement in (placement.name for placement in page.placements):
            return page
    return None


def _last_of_content(page: PagePolicy, policy: Policy) -> PagePlacement | None:
    """The last placement that shows content; where pairs are kept apart, one that may show it counts too."""
    kinds = (ItemKind.CONTENT.value, None) if policy.offers.pairs else (ItemKind.CONTENT.value,)
    shown = [one for one in page.placements if one.kind in kinds]
    return shown[-1] if shown else None
