"""The calendar: what kind of day a day is."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

import holidays
import numpy as np

from envs.errors import InputError

FIRST_DAY = date(2000, 1, 1).toordinal() - date(1970, 1, 1).toordinal()
LAST_DAY = date(2045, 12, 31).toordinal() - date(1970, 1, 1).toordinal()
PAYDAY = 15  # day of the month; assumed: salaries in mainland China are mostly paid around mid-month
NAMES = ("weekday_sin", "weekday_cos", "weekend", "payday", "holiday", "month_sin", "month_cos")


def _days() -> list[date]:
    return [date(1970, 1, 1) + timedelta(days=d) for d in range(FIRST_DAY, LAST_DAY + 1)]


@lru_cache(maxsize=8)
def calendar_table(country: str) -> np.ndarray:  # (days since FIRST_DAY, calendar fields) float32
    """The fields of every day from 2000 to 2045. country: a code such as CN."""
    try:
        feasts = holidays.country_holidays(country, years=range(2000, 2046))
    except NotImplementedError as error:
        raise InputError("must be a country code such as CN, PT, US", field="task.calendar", value=country) from error
    days = _days()
    weekday = np.array([d.weekday() for d in days]) * (2 * np.pi / 7)
    month = np.array([d.day - 1 for d in days]) * (2 * np.pi / 31)
    rows = [
        np.sin(weekday),
        np.cos(weekday),
        np.array([d.weekday() >= 5 for d in days]),
        np.array([PAYDAY <= d.day < PAYDAY + 3 for d in days]),
        np.array([d in feasts for d in days]),
        np.sin(month),
        np.cos(month),
    ]
    table = np.ascontiguousarray(np.stack(rows, axis=1).astype(np.float32))
    table.setflags(write=False)
    return table


@lru_cache(maxsize=1)
def days_of_month() -> np.ndarray:  # (days since FIRST_DAY,) int64
    """1 to 31 of every day from 2000 to 2045."""
    return np.array([d.day for d in _days()], np.int64)


def check_days(day: np.ndarray) -> None:
    """Raise an InputError for days that no calendar covers. day: (batch,) int, days since 1970-01-01."""
    if day.size and (day.min() < FIRST_DAY or day.max() > LAST_DAY):
        raise InputError(
            "must lie between 2000 and 2045", field="at", value=f"day {int(day.min())} to {int(day.max())}"
        )


def calendar_fields(day: np.ndarray, country: str) -> np.ndarray:
    """Fields of each day. day: (batch,) int, days since 1970-01-01 -> (batch, len(NAMES)) float32."""
    check_days(day)
    return np.asarray(calendar_table(country)[day - FIRST_DAY])
