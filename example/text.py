"""Which text the shop takes from its users."""

from __future__ import annotations

import unicodedata

# Overrides, embeddings and isolates: they turn around the text that follows, also that
# of others. The marks U+200E, U+200F and U+061C do not; right-to-left text needs them.
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# What a line break may be, by the Unicode standard, section 5.8.
_LINE_BREAKS = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
_ALLOWED_CONTROLS = frozenset("\n\r\t")
_INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})


def is_clean(text: str) -> bool:
    """Whether text has no control characters but line breaks and tabs.

    Joiners, as in Persian words and many emoji, and no-break spaces are no control
    characters. Controls of the writing direction are refused, and so are lone
    surrogates, which have no UTF-8 form.
    """
    return not any(
        character in _BIDI_CONTROLS
        or (
            unicodedata.category(character) in ("Cc", "Cs")
            and character not in _ALLOWED_CONTROLS
        )
        for character in text
    )


def is_blank(text: str) -> bool:
    """Whether text shows nothing, such as spaces or joiners alone."""
    return all(unicodedata.category(character) in _INVISIBLE for character in text)


def is_one_line(text: str) -> bool:
    """Whether text has neither line breaks nor tabs."""
    return not any(character in _LINE_BREAKS or character == "\t" for character in text)
