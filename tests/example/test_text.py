"""Which text the shop takes: people's writing, but nothing that acts as a command."""

from __future__ import annotations

import unicodedata

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from example.app import create_app
from example.text import is_blank, is_clean, is_one_line

WRITING = {
    "a family, joined": "👨\u200d👩\u200d👧",
    "a flag of tags": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "a variation selector": "❤\ufe0f",
    "Persian with a non-joiner": "می\u200cروم",
    "a no-break space": "5\u00a0000 €",
    "a narrow no-break space": "5\u202f000 €",
    "a soft hyphen": "Donau\u00addampf\u00adschiff",
    "a right-to-left mark": "שלום\u200f!",
    "a Hindi conjunct": "क\u094d\u200dष",
    "lines and a tab": "one\r\n\ttwo",
    "a newer emoji than this Python's table": "\U0001faef",
}
BIDI = [*map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)])]
CONTROLS = [
    chr(n) for n in (*range(0x20), *range(0x7F, 0xA0)) if chr(n) not in "\n\r\t"
]
harmless = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters=BIDI)
    | st.sampled_from("\n\r\t")
)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setenv("DEMO_STEP_SECONDS", "1000")
    return create_app().test_client()


@pytest.mark.parametrize("text", WRITING.values(), ids=[*WRITING])
def test_a_chat_carries_peoples_writing(client: FlaskClient, text: str) -> None:
    assert client.post("/login", data={"user": "alice"}).status_code == 303
    answer = client.post("/chat", json={"to": "bob", "message": text})
    assert answer.status_code == 201, answer.get_json()


@pytest.mark.parametrize("name", ["گل\u200cپری", "Anne\u00a0Marie", "👩\u200d🚀"])
def test_a_users_name_may_have_joiners_and_no_break_spaces(
    client: FlaskClient, name: str
) -> None:
    assert client.post("/login", data={"user": name}).status_code == 303
    assert name in client.get("/").text
    answer = client.post("/chat", json={"to": name, "message": "hello"})
    assert answer.status_code == 201


@pytest.mark.parametrize("character", [*BIDI, "\0", "\x1b", "\x7f", "\x85", "\ud800"])
@pytest.mark.parametrize("field", ["to", "message"])
def test_what_acts_on_other_text_is_refused(
    client: FlaskClient, field: str, character: str
) -> None:
    client.post("/login", data={"user": "alice"})
    body = {"to": "bob", "message": "hello", field: f"a{character}b"}
    answer = client.post("/chat", json=body)
    assert answer.status_code == 400
    assert "control characters" in answer.get_json()["error"]


@pytest.mark.parametrize("text", ["\u200d", "\u200c \u200d", "\u00a0", "\u2060"])
def test_what_shows_nothing_is_blank(client: FlaskClient, text: str) -> None:
    answer = client.post("/login", data={"user": text})
    assert answer.status_code == 400
    assert "not blank" in answer.get_json()["error"]


@pytest.mark.parametrize("character", ["\n", "\r", "\t", "\u2028", "\u2029"])
def test_a_name_is_one_line(client: FlaskClient, character: str) -> None:
    answer = client.post("/login", data={"user": f"a{character}b"})
    assert answer.status_code == 400
    assert "one line" in answer.get_json()["error"]


@given(harmless)
def test_only_controls_are_refused(text: str) -> None:
    assert is_clean(text)


@given(harmless, st.sampled_from([*CONTROLS, *BIDI]), harmless)
def test_every_control_is_refused_wherever_it_stands(
    before: str, control: str, after: str
) -> None:
    assert not is_clean(before + control + after)


@given(st.text(st.characters(categories=("L", "N", "P", "S"))), st.characters())
def test_what_has_a_visible_character_is_not_blank(text: str, other: str) -> None:
    assert is_blank(text) is not bool(text)
    if text:
        assert not is_blank(other + text + other)


@given(st.text())
def test_one_line_by_pythons_own_rule(text: str) -> None:
    assert is_one_line(text) == (len(f"{text}x".splitlines()) == 1 and "\t" not in text)


def test_the_whole_of_unicode() -> None:
    refused = {chr(n) for n in range(0x110000) if not is_clean(chr(n))}
    kinds = {unicodedata.category(character) for character in refused - {*BIDI}}
    assert kinds == {"Cc", "Cs"}
    assert {*CONTROLS, *BIDI} <= refused
