"""The codec against the rules of the standard, and against independent parsers.

WHATWG HTML, 9.2.6 "Interpreting an event stream"; the rules are quoted by section.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest
from httpx_sse import ServerSentEvent
from httpx_sse._decoders import SSEDecoder
from hypothesis import given
from hypothesis import strategies as st
from sseclient import SSEClient

from flask_sse_push import Event, EventError
from flask_sse_push.events import (
    ALL,
    encode,
    encode_closing,
    encode_comment,
    encode_cursor,
    encode_gap,
    encode_retry,
    format_id,
    group_channel,
    parse_id,
    timestamp,
    to_json,
    user_channel,
)

_LINE_END = re.compile(r"\r\n|\r|\n")


def normalized(text: str) -> str:
    """Text with the line breaks that every client returns."""
    return _LINE_END.sub("\n", text)


def read_by_httpx_sse(stream: bytes) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    lines = _LINE_END.split(stream.decode())[:-1]
    found = map(decoder.decode, lines)
    return [event for event in found if event is not None]


def read_by_the_standard(stream: bytes) -> Iterator[tuple[str, str, str]]:
    """The standard's own algorithm, step by step: (type, data, last event id)."""
    data, kind, last_id = "", "", ""
    for line in _LINE_END.split(stream.decode().removeprefix("\ufeff")):
        if not line:
            if data:
                yield kind or "message", data.removesuffix("\n"), last_id
            data, kind = "", ""
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                kind = value
            elif field == "data":
                data += value + "\n"
            elif field == "id" and "\0" not in value:
                last_id = value


# All Unicode text; characters that end lines, or seem to, are more frequent.
any_text = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from("\r\n\0:\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\ufeff "),
    )
)
names = any_text.filter(
    lambda text: 0 < len(text) <= 200 and not set(text) & set("\r\n\0")
)
ids = st.from_regex(r"[!#-'*+,\-./0-9;=A-Z^_`a-z|~]{1,40}", fullmatch=True)


@given(st.lists(st.tuples(names, any_text, ids), min_size=1, max_size=4))
def test_what_is_accepted_comes_back_exactly(
    events: list[tuple[str, str, str]],
) -> None:
    stream = b"".join(
        encode(Event(name=name).name, Event(data=data).data, id)
        for name, data, id in events
    )
    expected = [(name, normalized(data), id) for name, data, id in events]
    assert list(read_by_the_standard(stream)) == expected
    assert [(e.event, e.data, e.id) for e in read_by_httpx_sse(stream)] == expected


# sseclient-py strips spaces around names and ends lines where str.splitlines() does, so
# it judges only what that leaves alone.
plain_text = st.text(st.characters(codec="ascii", min_codepoint=33))


@given(plain_text.filter(bool), st.lists(plain_text), ids)
def test_sseclient_reads_the_same(name: str, lines: list[str], id: str) -> None:
    data = "\n".join(lines)
    event = next(SSEClient(iter([encode(name, data, id)])).events())
    assert (event.event, event.data, event.id) == (name, data, id)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_each_line_end_splits_the_data(end: str) -> None:
    assert encode("x", f"a{end}b") == b"event: x\ndata: a\ndata: b\n\n"


@pytest.mark.parametrize("separator", "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
def test_other_separators_are_data(separator: str) -> None:
    assert encode("x", f"a{separator}b").count(b"data:") == 1


def test_an_event_without_text_is_still_dispatched() -> None:
    assert list(read_by_the_standard(encode("x", ""))) == [("x", "", "")]


def test_one_leading_space_is_the_formats_and_more_are_the_datas() -> None:
    assert list(read_by_the_standard(encode("x", "  a"))) == [("x", "  a", "")]


def test_a_byte_order_mark_in_the_data_stays() -> None:
    stream = encode_retry(1) + encode("x", "\ufeffa")
    assert list(read_by_the_standard(stream)) == [("x", "\ufeffa", "")]


def test_an_injected_field_is_data() -> None:
    stream = encode("x", "a\n\nevent: admin\rid: 1\r\ndata: owned")
    assert [kind for kind, _, _ in read_by_the_standard(stream)] == ["x"]


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "", "x" * 201, "\ud800"])
def test_a_bad_name_is_refused(bad: str) -> None:
    with pytest.raises(EventError):
        Event(name=bad, data="{}")


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(EventError, match="surrogate"):
        Event(name="x", data="\udc00")


def test_an_event_error_is_a_value_error() -> None:
    assert issubclass(EventError, ValueError)


@pytest.mark.parametrize("bad", ["a\nb", "a\rdata: x", "\0", "\ud800"])
def test_a_bad_comment_is_refused(bad: str) -> None:
    with pytest.raises(EventError):
        encode_comment(bad)


@pytest.mark.parametrize("bad", [-1, 1.5, True, "3000"])
def test_a_bad_retry_is_refused(bad: int) -> None:
    with pytest.raises(EventError):
        encode_retry(bad)


def test_comments_and_retry_dispatch_nothing() -> None:
    stream = encode_comment("hello") + encode_retry(5) + encode("x", "1", "7-1")
    assert list(read_by_the_standard(stream)) == [("x", "1", "7-1")]


def test_the_cursor_comes_with_data_because_firefox_keeps_no_other() -> None:
    stream = encode_retry(5) + encode_cursor((7, 1)) + encode("x", "1")
    assert list(read_by_the_standard(stream)) == [
        ("sse-push-open", "{}", "7-1"),
        ("x", "1", "7-1"),
    ]


def test_the_gap_says_from_where_to_where() -> None:
    [(name, data, _)] = read_by_the_standard(encode_gap("5-0", (7, 1)))
    assert (name, json.loads(data)) == (
        "sse-push-gap",
        {"since": "5-0", "oldest": "7-1"},
    )


def test_the_closing_says_why() -> None:
    [(name, data, _)] = read_by_the_standard(encode_closing("age"))
    assert (name, json.loads(data)) == ("sse-push-closing", {"reason": "age"})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | any_text,
    lambda inner: st.lists(inner) | st.dictionaries(any_text, inner),
    max_leaves=8,
)


@given(json_values)
def test_json_is_one_line_for_every_client(value: object) -> None:
    text = to_json(value)
    # Also for those that split lines with str.splitlines().
    assert len(text.splitlines()) == 1
    assert json.loads(text) == value
    [event] = SSEClient(iter([encode("x", text, "1-0")])).events()
    assert json.loads(event.data) == value


@given(st.text(st.sampled_from('\\"u\x85\u2028\u2029a')))
def test_an_escape_in_json_means_the_same_after_a_backslash(text: str) -> None:
    assert json.loads(to_json({text: text})) == {text: text}


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_an_id_is_read_back_as_the_position(ms: int, seq: int) -> None:
    id = format_id((ms, seq))
    assert parse_id(id) == (ms, seq)
    # A cross-origin reconnect needs no preflight for it (Fetch standard, "CORS-unsafe
    # request-header byte"), and no header or field can be injected through it.
    assert re.fullmatch(r"[0-9-]{1,128}", id)


@given(any_text)
def test_any_text_is_an_id_or_none(text: str) -> None:
    position = parse_id(text)
    assert position is None or re.fullmatch(r"[0-9]+-[0-9]+", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "1-",
        "-1",
        "1",
        "1-1\n",
        " 1-1",
        "+1-1",
        "1_0-1",
        "\u0661-\u0661",
        "9" * 17,
    ],
)
def test_what_is_no_id(text: str) -> None:
    assert parse_id(text) is None


@given(any_text.filter(lambda text: 0 < len(text) <= 256))
def test_channels_of_users_groups_and_all_never_meet(name: str) -> None:
    assert len({user_channel(name), group_channel(name), ALL}) == 3


def test_a_user_id_is_known_by_its_text() -> None:
    id = UUID(int=5)
    assert user_channel(42) == user_channel("42") == "user:42"
    assert user_channel(id) == f"user:{id}"


@pytest.mark.parametrize("bad", [None, True, 1.5, b"x", "", "x" * 257, [1], "\ud800"])
def test_what_is_no_user_id(bad: object) -> None:
    with pytest.raises(EventError):
        user_channel(bad)


def test_a_timestamp_is_as_javascript_writes_it() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, timezone(timedelta(hours=1)))
    assert timestamp(moment) == "2026-01-02T02:04:05.678Z"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", timestamp())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), object(), {1, 2}])
def test_what_has_no_json_form_is_refused(bad: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        to_json({"a": bad})
