"""The one error for everything a user handed in that is wrong."""

from __future__ import annotations

from pathlib import Path

LONGEST_VALUE = 80  # characters of a value that are shown; assumed: what fits one line of a terminal


class InputError(ValueError):
    """Bad input, said in one line that names file, field, value and need.

    Raised before anything is changed on disk; the command line prints `nextbest: <line>` and exits with 2.

    need:  what would be right, e.g. "must be in (0, 1]"
    file:  the file or directory the value stands in
    field: the column, key or option
    value: the value found; None means that there is no value to show
    row:   the row of a table, counted from 0

    >>> where = {"file": "decisions.parquet", "field": "propensity", "row": 17}
    >>> print(InputError("must be in (0, 1]", value=0.0, **where))
    decisions.parquet: propensity == 0.0 (row 17), must be in (0, 1]
    >>> print(InputError("does not exist", file="no/such/log"))
    no/such/log: does not exist
    """

    def __init__(
        self,
        need: str,
        *,
        file: str | Path | None = None,
        field: str | None = None,
        value: object = None,
        row: int | None = None,
    ) -> None:
        self.need, self.file, self.field, self.value, self.row = need, file, field, value, row
        super().__init__(_one_line(need, file, field, value, row))

    def __reduce__(self) -> tuple[object, ...]:
        state = {"file": self.file, "field": self.field, "value": self.value, "row": self.row}
        return (_rebuild, (type(self), self.need, state))


def _rebuild(kind: type[InputError], need: str, state: dict[str, object]) -> InputError:
    return kind(need, **state)  # type: ignore[arg-type]  # the keywords of __init__, from __reduce__


def _one_line(need: str, file: str | Path | None, field: str | None, value: object, row: int | None) -> str:
    where = field or ("value" if value is not None else "")
    if value is not None:
        where += f" == {_shown(value)}"
    if row is not None:
        where += f" (row {row})" if where else f"row {row}"
    text = f"{where}, {need}" if where else need
    text = f"{file}: {text}" if file is not None else text
    return " ".join(text.split())


def _shown(value: object) -> str:
    """The value as Python writes it, numpy scalars as plain numbers, at most LONGEST_VALUE characters."""
    item = getattr(value, "item", None)
    plain = item() if callable(item) and getattr(value, "size", 1) == 1 else value
    text = repr(str(plain)) if isinstance(plain, Path) else repr(plain)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
