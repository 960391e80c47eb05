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


@lru_cache(maxsize=8)
def _table(country: str) -> np.ndarray:  # (calendar fields, days) float32
    try:
        feasts = holidays.country_holidays(country, years=range(2000, 2046))
    except NotImplementedError as error:
        raise InputError("must be a country code such as CN, PT, US", field="task.calendar", value=country) from error
    days = [date(1970, 1, 1) + timedelta(days=d) for d in range(FIRST_DAY, LAST_DAY + 1)]
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
    return np.stack(rows).astype(np.float32)


def calendar_fields(day: np.ndarray, country: str) -> np.ndarray:
    """Fields of each day. day: (batch,) int, days since 1970-01-01 -> (len(NAMES), batch) float32."""
    if day.size and (day.min() < FIRST_DAY or day.max() > LAST_DAY):
        raise InputError(
            "must lie between 2000 and 2045", field="at", value=f"day {int(day.min())} to {int(day.max())}"
        )
    return np.ascontiguousarray(_table(country)[:, day - FIRST_DAY])
