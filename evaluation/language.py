"""Language: what a report says, in the language of its reader. English stands in the code, others in `locale/`.

Every sentence for people goes through `say`, with its values as fields; a text that stands in a table of the code is
marked there by `mark` and said where it is shown. Translations are gettext catalogues, one `.po` for each language, so
that translators have their tools. A catalogue that lacks a text, or has one of which fields are missing, fails a test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, reduce
from pathlib import Path
from string import Formatter
from types import MappingProxyType
from typing import Literal

from envs.errors import InputError

Language = Literal["en", "zh"]
TAGS: dict[Language, str] = {"en": "en", "zh": "zh-Hans"}  # as HTML calls them (BCP 47)
CATALOGUES = Path(__file__).parent / "locale"

_NONE: Mapping[str, str] = MappingProxyType({})
_spoken: ContextVar[Mapping[str, str]] = ContextVar("spoken", default=_NONE)


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Within it `say` speaks this language; InputError where there is no such language."""
    if language not in TAGS:
        raise InputError(f"must be one of: {', '.join(TAGS)}", field="lang", value=language)
    token = _spoken.set(_NONE if language == "en" else translations(language))
    try:
        yield
    finally:
        _spoken.reset(token)


def say(text: str, /, **values: object) -> str:
    """The text in the language that is spoken, its fields filled in as `str.format` does.

    >>> say("{n:,} customers", n=1200)
    '1,200 customers'
    """
    found = _spoken.get().get(text, text)
    return found.format(**values) if values else found


def mark(text: str) -> str:
    """The text itself: it is said where it is shown."""
    return text


def paragraph(sentences: Iterable[str]) -> str:
    """Sentences one after the other, with what the language puts between them."""
    return reduce(lambda before, after: say("{before} {after}", before=before, after=after), sentences)


def fields_of(template: str, text: str) -> dict[str, str] | None:
    """What a text was made of that a record holds in English; None where it was not made from this template.

    >>> fields_of("unknown ({why})", "unknown (no disk)")
    {'why': 'no disk'}
    """
    parts = ((re.escape(before), name) for before, name, _, _ in Formatter().parse(template))
    pattern = "".join(before if name is None else f"{before}(?P<{name}>.*)" for before, name in parts)
    found = re.fullmatch(pattern, text, re.DOTALL)
    return None if found is None else found.groupdict()


@cache
def translations(language: Language) -> Mapping[str, str]:
    """English to another language."""
    from babel.messages.pofile import read_po

    with (CATALOGUES / f"{language}.po").open("rb") as file:
        found = read_po(file, locale=language, abort_invalid=True)
    return MappingProxyType({str(m.id): str(m.string) for m in found if m.id and m.string and not m.fuzzy})
