"""A query is read strictly: what is not meant is refused with its place, and never guessed."""

from __future__ import annotations

import pytest
from flask import Flask

from recsvc.services import Services
from tests.api.fakes import CONTENT, OFFERS, FakeEngine, Reply, send


def refused(app: Flask, query: str) -> Reply:
    reply = send(app, f"{CONTENT}?{query}")
    assert (reply.status, reply.json["type"]) == (422, "/problems/validation-error"), query
    return reply


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "%20",
            "%205",
            "5%20",
            "5%0A",
            "+5",
            "%2B5",
            "-5",
            "--5",
            "5.",
            "1.5",
            "1e3",
            "0x10",
            "1_0",
            "1,0",
        ),
        *(
            "%D9%A3",
            "%EF%BC%95",
            "%C2%B2",
            "%E2%85%A7",
            "five",
            "NaN",
            "Infinity",
            "true",
            "null",
            "[]",
            "%00",
        ),
        *("0", "101", "99999999", "9" * 400, "00000000005"),
    ],
)
def test_a_limit_that_is_not_a_plain_number_in_range_is_refused_with_the_range(app: Flask, text: str) -> None:
    (error,) = refused(app, f"limit={text}").json["errors"]
    assert error == {
        "pointer": "query/limit",
        "detail": "must be a whole number from 1 to 100, in plain digits",
    }


@pytest.mark.parametrize(("text", "limit"), [("1", 1), ("100", 100), ("%35", 5), ("007", 7)])
def test_a_limit_in_plain_digits_is_taken(app: Flask, services: Services, text: str, limit: int) -> None:
    assert send(app, f"{CONTENT}?limit={text}").status == 200
    assert isinstance(services.engine, FakeEngine)
    assert services.engine.asked[0].limit == limit


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-0",
        "-0.1",
        "1.01",
        "2",
        ".5",
        "1.",
        "1e-1",
        "nan",
        "NaN",
        "inf",
        "0,5",
        "0.5%20",
        "0x1",
        "%D9%A0.5",
    ],
)
def test_a_diversity_that_is_not_a_plain_decimal_in_range_is_refused(app: Flask, text: str) -> None:
    (error,) = refused(app, f"diversity={text}").json["errors"]
    assert error["pointer"] == "query/diversity"
    assert "from 0 to 1" in error["detail"]


@pytest.mark.parametrize("text", ["", "TRUE", "True", "1", "0", "yes", "on", "true%20", "null"])
def test_explain_is_true_or_false_and_nothing_else(app: Flask, text: str) -> None:
    (error,) = refused(app, f"explain={text}").json["errors"]
    assert error == {"pointer": "query/explain", "detail": "must be true or false"}


@pytest.mark.parametrize("text", ["", "WEB", "web%20", "tv", "web,email"])
def test_an_unknown_channel_is_refused_with_the_known_ones(app: Flask, text: str) -> None:
    (error,) = refused(app, f"channel={text}").json["errors"]
    assert error["pointer"] == "query/channel"
    assert "call_centre" in error["detail"]


@pytest.mark.parametrize("text", ["", "a/b", "a%20b", "home%0A", "x" * 65, "%E9%A6%96%E9%A1%B5", "%00"])
def test_a_placement_of_odd_characters_is_refused(app: Flask, text: str) -> None:
    assert refused(app, f"placement={text}").pointers == ["query/placement"]


@pytest.mark.parametrize(
    "text", ["", "e", "en_US", "en-", "-en", "en--US", "e1", "en%0A", "en-" + "abcdefgh-" * 5, "*"]
)
def test_a_locale_that_is_no_language_tag_is_refused(app: Flask, text: str) -> None:
    assert refused(app, f"locale={text}").pointers[0] == "query/locale"


@pytest.mark.parametrize("text", ["", "a%00b", "a%0Ab", "a%7F", "x" * 101])
def test_a_category_that_is_empty_long_or_holds_controls_is_refused(app: Flask, text: str) -> None:
    assert refused(app, f"category=saving&category={text}").pointers == ["query/category"]


def test_twenty_categories_are_taken_and_one_more_is_not(app: Flask) -> None:
    twenty = "&".join(f"category=c{n}" for n in range(20))
    assert send(app, f"{CONTENT}?{twenty}").status == 200
    assert refused(app, f"{twenty}&category=c20").pointers == ["query/category"]


def test_two_hundred_excluded_ids_are_taken_and_one_more_is_not(app: Flask) -> None:
    assert send(app, f"{CONTENT}?exclude={','.join(f'i{n}' for n in range(200))}").status == 200
    reply = refused(app, f"exclude={','.join(f'i{n}' for n in range(201))}")
    assert reply.json["errors"] == [{"pointer": "query/exclude", "detail": "must hold at most 200 ids"}]


@pytest.mark.parametrize(
    "text", ["", ",,,", "a,", ",a", "a,,b", "a%20b", "a,%20b", "a/b", "x" * 257, "%E5%93%81"]
)
def test_an_exclusion_of_what_is_no_id_is_refused(app: Flask, text: str) -> None:
    assert refused(app, f"exclude={text}").pointers == ["query/exclude"]


@pytest.mark.parametrize(
    "name", ["limit", "channel", "placement", "locale", "exclude", "diversity", "explain"]
)
def test_a_parameter_that_means_one_thing_is_given_once(app: Flask, name: str) -> None:
    values = {"limit": "5", "channel": "web", "locale": "en", "diversity": "0.5", "explain": "true"}
    value = values.get(name, "a")
    (error,) = refused(app, f"{name}={value}&{name}={value}").json["errors"]
    assert error == {"pointer": f"query/{name}", "detail": "is given 2 times; give it once"}


def test_a_mistyped_parameter_is_refused_with_the_one_that_was_meant(app: Flask) -> None:
    (error,) = refused(app, "limitt=5").json["errors"]
    assert error["pointer"] == "query/limitt"
    assert "did you mean limit?" in error["detail"]


def test_a_parameter_that_is_like_none_is_refused_with_those_there_are(app: Flask) -> None:
    (error,) = refused(app, "min_value=NaN").json["errors"]
    assert error["pointer"] == "query/min_value"
    assert "diversity" in error["detail"]


def test_the_moment_of_an_offer_list_cannot_be_chosen(app: Flask) -> None:
    reply = send(app, f"{OFFERS}?as_of=2026-01-01T00:00:00Z")
    assert (reply.status, reply.pointers) == (422, ["query/as_of"])


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/docs"])
def test_a_call_without_parameters_takes_none(app: Flask, path: str) -> None:
    reply = send(app, f"{path}?verbose=true")
    assert (reply.status, reply.pointers) == (422, ["query/verbose"])
    assert "takes none" in reply.json["errors"][0]["detail"]


def test_the_name_of_a_refused_parameter_is_escaped_and_cut(app: Flask) -> None:
    assert refused(app, "%3Cscript%3E=1").pointers == ["query/%3Cscript%3E"]
    assert refused(app, "a/b~c=1").pointers == ["query/a%2Fb~c"]
    assert refused(app, "=1").pointers == ["query/"]
    (pointer,) = refused(app, "%C3%A9" * 500 + "=1").pointers
    assert len(pointer) <= 70


def test_every_mistake_is_named_at_once(app: Flask) -> None:
    reply = refused(app, "limit=0&explain=maybe&color=red&channel=web&channel=web")
    assert sorted(reply.pointers) == ["query/channel", "query/color", "query/explain", "query/limit"]


def test_of_a_thousand_mistakes_a_hundred_are_named(app: Flask) -> None:
    reply = refused(app, "&".join(f"p{n}" for n in range(1000)))
    assert len(reply.json["errors"]) <= 100
    assert len(reply.body) <= 16 * 1024


@pytest.mark.parametrize(
    "query",
    [
        "locale=%zz",
        "locale=%",
        "locale=%f",
        "%zz=1",
        "category=%ff",
        "category=%c3%28",
        "category=\xff%C0%80",
    ],
)
def test_a_query_that_is_not_percent_encoded_utf_8_cannot_be_parsed(app: Flask, query: str) -> None:
    raw = query.encode("latin-1")
    reply = send(app, CONTENT, environ={"QUERY_STRING": raw.decode("latin-1")})
    assert (reply.status, reply.json["type"]) == (400, "/problems/malformed-request")


@pytest.mark.parametrize("query", ["&", "&&limit=5&", "limit=5&"])
def test_empty_pairs_mean_nothing(app: Flask, query: str) -> None:
    assert send(app, f"{CONTENT}?{query}").status == 200


def test_a_surrogate_in_the_query_is_not_utf_8(app: Flask) -> None:
    assert send(app, f"{CONTENT}?category=%ED%A0%80").status == 400


@pytest.mark.parametrize(
    "customer_id",
    [
        "%20",
        "%F0%9F%98%80",
        "c1%0aFAKE%20LOG",
        "cust:1%20OR%201=1",
        "%00",
        "%FF",
        "%zz",
        "a%25b",
        "x" * 257,
        "é",
        "a%0A",
    ],
)
def test_an_ill_formed_customer_id_is_refused_with_its_place(
    app: Flask, services: Services, customer_id: str
) -> None:
    reply = send(app, f"/v1/customers/{customer_id}/recommendations/content")
    assert (reply.status, reply.pointers) == (422, ["path/customer_id"])
    assert isinstance(services.engine, FakeEngine)
    assert services.engine.asked == []


@pytest.mark.parametrize(
    "path",
    [
        "/v1/customers/..%2F..%2Fetc%2Fpasswd/recommendations/content",
        "/v1/customers/a%2Fb/recommendations/content",
        "/v1/customers//recommendations/content",
        "/v1/customers/c1/recommendations/content/",
        "/v1/customers/c1/recommendations",
        "//v1/trending",
        "/v1//trending",
        "/v1/../v1/trending",
        "/V1/trending",
        "/",
        "",
        "*",
    ],
)
def test_a_path_that_nobody_serves_is_not_found(app: Flask, path: str) -> None:
    reply = send(app, path)
    assert (reply.status, reply.json["type"]) == (404, "/problems/not-found")
