"""A body means one thing or nothing: whatever another reader might read otherwise is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.api.strict_json import MAX_DEPTH, parse_json
from recsvc.errors import UnparsableRequestError

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('"\\{}[]:ab'), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(value=values, spaced=st.booleans(), in_ascii=st.booleans())
def test_what_is_json_is_read_as_it_is(value: object, spaced: bool, in_ascii: bool) -> None:
    body = json.dumps(value, indent=1 if spaced else None, ensure_ascii=in_ascii)
    assert parse_json(body.encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"[1,]",
        b'{"a":1,}',
        b"{'a':1}",
        b"{a:1}",
        b'{"a":/*x*/1}',
        b"// x\n1",
        b"NaN",
        b"-Infinity",
        b"[1e999]",
        b"01",
        b"+1",
        b".5",
        b"0x1",
        b"1 2",
        b"{}{}",
        b"True",
        b'"a\nb"',
        b'"a\x00b"',
        b'"\\x41"',
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        b'"\xc0\xaf"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'"\\ud800\\u0041"',
        b'"\\udc00"',
        b'{"\\udfff":1}',
        "{}".encode("utf-16"),
        "{}".encode("utf-16-le"),
        "{}".encode("utf-32"),
        b"9" * 5000,
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(UnparsableRequestError):
        parse_json(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'[{"a":{"b":1,"c":2,"b":3}}]',
        b'{"a":":","a":"{}"}',
        b'{"\\"":1,"\\"":2}',
        b'{"\\\\":1,"\\\\":2}',
    ],
)
def test_a_name_that_is_given_twice_is_refused(body: bytes) -> None:
    with pytest.raises(UnparsableRequestError, match="one name twice"):
        parse_json(body)


@pytest.mark.parametrize("body", [b'{"a":{"a":1}}', b'[{"a":1},{"a":1}]', b'{"a":"\\"a\\":1","b":"::"}'])
def test_a_name_that_is_given_once_in_each_object_is_fine(body: bytes) -> None:
    assert parse_json(body) == json.loads(body)


def test_the_depth_is_bounded_and_brackets_in_texts_do_not_count() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert json.dumps(parse_json(deepest)).encode() == deepest
    assert parse_json(b'["' + b"[{" * 1000 + b'\\"[["]') == ["[{" * 1000 + '"[[']
    with pytest.raises(UnparsableRequestError, match="levels deep"):
        parse_json(b"[" + deepest + b"]")


@pytest.mark.parametrize(
    "body",
    [
        b'{"events":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" * 1_000_000,
        b'{"a":["' + b"[" * 10 + b'",' + b"[" * 1_000_000,
    ],
)
def test_a_hundred_thousand_levels_are_refused(body: bytes) -> None:
    with pytest.raises(UnparsableRequestError, match="levels deep"):
        parse_json(body)


def test_what_is_wrong_is_said_without_a_word_of_the_body() -> None:
    with pytest.raises(UnparsableRequestError) as raised:
        parse_json(b'{"customer_id":"c-4711" "x"}')
    assert "4711" not in str(raised.value)
