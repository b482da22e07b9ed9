"""The sentences that customers read, by code and locale. In: a code. Out: a text.

Every sentence is true of articles and offers alike, whether they were read, opened or accepted. Another
locale is one more text of every code.
"""

from __future__ import annotations

from collections.abc import Mapping

from recsvc.domain.items import text_in

BECAUSE_YOU_READ = "because_you_read"
FITS_YOUR_HISTORY = "fits_your_history"
MORE_OF_WHAT_YOU_READ = "more_of_what_you_read"
READ_BY_PEOPLE_LIKE_YOU = "read_by_people_like_you"
POPULAR_WITH_PEOPLE_LIKE_YOU = "popular_with_people_like_you"
POPULAR = "popular"
NEW = "new"
MORE_FOR_YOU = "more_for_you"
OUR_PICK = "our_pick"

TEXTS: Mapping[str, Mapping[str, str]] = {
    BECAUSE_YOU_READ: {"en": "Because you looked at “{title}”", "zh": "因为您看过“{title}”"},
    FITS_YOUR_HISTORY: {"en": "Fits what you looked at", "zh": "符合您的浏览兴趣"},
    MORE_OF_WHAT_YOU_READ: {"en": "From a category that you looked at", "zh": "来自您看过的类别"},
    READ_BY_PEOPLE_LIKE_YOU: {
        "en": "People with interests like yours looked at it",
        "zh": "与您兴趣相近的客户也看过",
    },
    POPULAR_WITH_PEOPLE_LIKE_YOU: {"en": "Popular with people like you", "zh": "在与您相似的客户中很受欢迎"},
    POPULAR: {"en": "Popular now", "zh": "当前热门"},
    NEW: {"en": "New", "zh": "最新发布"},
    MORE_FOR_YOU: {"en": "You may like this", "zh": "您可能感兴趣"},
    OUR_PICK: {"en": "Our pick", "zh": "编辑推荐"},
}


def text_of(code: str, locale: str, title: str = "") -> str:
    """The sentence in the locale, else in a wider one, else in English. Raises KeyError for no code."""
    texts = TEXTS[code]
    return (text_in(texts, locale) or texts["en"]).format(title=title)
