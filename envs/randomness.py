"""Counter-based random numbers: every draw is a pure function of (seed, customer, day, draw).

The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
generators"), applied after each of the four words is added. Elementwise, so that a customer's luck does not depend on
the batch that it is simulated in. Normals are inverted uniforms (Wichura 1988, algorithm AS 241, PPND16).
"""

from __future__ import annotations

import numpy as np

from envs.jit import inlined, kernel

_SEED, _CUSTOMER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)
_DAY, _DRAW = np.uint64(0xAEF17502108EF2D9), np.uint64(0xDB4F0B9175AE2165)
# Coefficients of powers 0 to 7: central, middle and far part, above and below.
_A = (
    *(3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125),
    *(45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727),
)
_B = (
    *(1.0, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077),
    *(21213.794301586595867, 39307.895800092710610, 28729.085735721942674, 5226.4952788528545610),
)
_C = (
    *(1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504),
    *(1.27045825245236838258, 0.241780725177450611770, 0.0227238449892691845833, 7.74545014278341407640e-4),
)
_D = (
    *(1.0, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550),
    *(0.148103976427480074590, 0.0151986665636164571966, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)
_E = (
    *(6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 0.296560571828504891230),
    *(0.0265321895265761230930, 0.00124266094738807843860, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
)
_F = (
    *(1.0, 0.599832206555887937690, 0.136929880922735805310, 0.0148753612908506148525),
    *(7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)


@inlined
def _mix(x: np.uint64) -> np.uint64:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@inlined
def key_of(seed: np.uint64, customer: int, day: int) -> np.uint64:
    """The key of a customer's day, from which its draws are made."""
    start = _mix(seed + _SEED)
    key = _mix((np.uint64(customer) + _CUSTOMER) ^ start)
    return _mix((np.uint64(day) * _DAY) ^ key)


@inlined
def uniform(key: np.uint64, draw: int) -> float:
    """A draw in (0, 1), never 0 or 1: the middles of 2^52 cells, each an exact float."""
    bits = _mix(key + _DRAW * np.uint64(draw + 1))
    return (np.float64(bits >> np.uint64(12)) + 0.5) * 2.0**-52


@kernel
def _ratio(top: tuple[float, ...], bottom: tuple[float, ...], r: float) -> float:
    above, below = top[7], bottom[7]
    for k in range(6, -1, -1):
        above, below = above * r + top[k], below * r + bottom[k]
    return above / below


@kernel
def inverse_normal(u: float) -> float:
    """The standard normal quantile of u in (0, 1); relative error about 1e-16."""
    q = u - 0.5
    if abs(q) <= 0.425:
        return q * _ratio(_A, _B, 0.180625 - q * q)
    r = np.sqrt(-np.log(u if q < 0 else 1 - u))
    size = _ratio(_C, _D, r - 1.6) if r <= 5 else _ratio(_E, _F, r - 5.0)
    return -size if q < 0 else size


@kernel
def normal(key: np.uint64, draw: int) -> float:
    """A standard normal draw."""
    return inverse_normal(uniform(key, draw))


@kernel
def _keys(seed: np.uint64, customer: np.ndarray, day: np.ndarray, out: np.ndarray) -> None:
    for i in range(out.shape[0]):
        out[i] = key_of(seed, customer[i], day[i])


@kernel
def _uniforms(keys: np.ndarray, draw: int, out: np.ndarray) -> None:
    for i in range(out.shape[0]):
        out[i] = uniform(keys[i], draw)


@kernel
def _normals(keys: np.ndarray, draw: int, out: np.ndarray) -> None:
    for i in range(out.shape[0]):
        out[i] = normal(keys[i], draw)


def seed_word(seed: int) -> np.uint64:
    """Any integer seed as the word that keys begin with."""
    return np.uint64(seed % 2**64)


class Luck:
    """The draws of a batch of customers on their days."""

    def __init__(self, seed: int, customer: np.ndarray, day: np.ndarray) -> None:
        """seed: any int; customer, day: (batch,) int."""
        self._keys = np.empty(len(customer), np.uint64)
        _keys(seed_word(seed), customer.astype(np.int64), day.astype(np.int64), self._keys)

    def uniform(self, draw: int) -> np.ndarray:
        """(batch,) float64 in (0, 1)."""
        out = np.empty(len(self._keys))
        _uniforms(self._keys, draw, out)
        return out

    def normal(self, draw: int) -> np.ndarray:
        """(batch,) float64, standard normal, by inversion."""
        out = np.empty(len(self._keys))
        _normals(self._keys, draw, out)
        return out
