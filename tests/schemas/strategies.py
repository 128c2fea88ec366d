"""Valid and invalid values for every field type in :mod:`tests.schemas.shapes`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from tests.schemas.shapes import SHAPES, kinds

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
moments = st.datetimes(timezones=st.none() | st.timezones())
iso_texts = st.one_of(
    st.datetimes().map(datetime.isoformat),
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    st.datetimes().map(lambda moment: f"{moment.isoformat(timespec='milliseconds')}Z"),
)
VALID: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(),
    "text?": st.none() | st.text(),
    "id": st.text(),
    "flag": st.booleans(),
    "time": iso_texts,
    "time?": st.none() | iso_texts,
    "number": numbers,
    "numbers": st.dictionaries(st.text(), numbers),
    "step": st.integers(1, 10),
    "total": st.integers(10),
    "current": st.integers(0, 10) | st.floats(0, 10),
    "size": st.integers(10) | st.floats(10, 1e9),
    "percent": st.integers(0, 100) | st.floats(0, 100),
}
nothing = st.none()
texts = st.text()
flags = st.booleans()
odd_numbers = st.sampled_from([float("nan"), float("inf"), float("-inf")])
containers = st.lists(st.text()) | st.binary() | st.just(object())
objects = st.dictionaries(st.text(), st.text())
not_numbers = nothing | texts | flags | odd_numbers | containers | objects
not_texts = flags | numbers | containers | objects
not_times = not_texts | texts.filter(lambda text: "T" not in text)
INVALID: dict[str, st.SearchStrategy[Any]] = {
    "text": nothing | not_texts,
    "text?": not_texts,
    "id": nothing | flags | st.floats() | containers | objects,
    "flag": nothing | texts | numbers | containers | objects,
    "time": nothing | not_times,
    "time?": not_times,
    "number": not_numbers,
    "numbers": nothing
    | texts
    | flags
    | numbers
    | containers
    | st.dictionaries(st.text(), not_numbers, min_size=1)
    | st.dictionaries(st.integers(), numbers, min_size=1),
    "step": not_numbers | st.integers(max_value=0) | st.floats(1, 4),
    "total": not_numbers | st.integers(max_value=0) | st.floats(10, 20),
    "current": not_numbers | st.integers(max_value=-1) | st.floats(max_value=-0.1),
    "size": not_numbers | st.integers(max_value=-1) | st.floats(max_value=-0.1),
    "percent": not_numbers | st.integers(max_value=-1) | st.integers(101),
}


def good(kind: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(kind) if isinstance(kind, tuple) else VALID[kind]


def bad(kind: Any) -> st.SearchStrategy[Any]:
    if not isinstance(kind, tuple):
        return INVALID[kind]
    return nothing | not_texts | texts.filter(lambda text: text not in kind)


def valid_payloads(name: str) -> st.SearchStrategy[dict[str, Any]]:
    required, _ = SHAPES[name]
    return st.fixed_dictionaries(
        {key: good(kind) for key, kind in required.items()},
        optional={
            key: good(kind) for key, kind in kinds(name).items() if key not in required
        },
    )


events_and_payloads = st.sampled_from(sorted(SHAPES)).flatmap(
    lambda name: st.tuples(st.just(name), valid_payloads(name))
)
