"""95 % intervals: Wilson for rates, Bonett-Price for paired rates, Student's t for everything else."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist, fmean

LEVEL = 0.95
Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)

Interval = tuple[float, float]


def mean_interval(values: Sequence[float], weights: Sequence[float] | None = None) -> Interval:
    """95 % interval of the mean of `values`, or of sum(w v) / sum(w) where `weights` are given.

    Wilson's score interval for 0/1 values without weights; else Student's t, with the jackknife's standard error of
    the ratio if weighted (Cochran, Sampling Techniques, section 6.17).

    Raises:
        ValueError: no values, or a single one that is not 0/1.
    """
    if not values:
        raise ValueError("values: an interval needs at least one row; the data set is empty")
    if weights is None and is_binary(values):
        return wilson(round(sum(values)), len(values))
    return _t_around(weighted_mean(values, weights), _shares(values, weights))


def paired_interval(
    before: Sequence[float],
    after: Sequence[float],
    weights: Sequence[float] | None = None,
    weights_before: Sequence[float] | None = None,
) -> Interval:
    """95 % interval of the mean of `after` less that of `before`, over the same rows.

    Bonett and Price's adjusted Wald interval for 0/1 values (doi:10.3102/1076998611411915), which does not collapse
    when all rows agree; else Student's t on what each row adds to the difference of the two means, weighted as in
    `mean_interval`; rows may weigh otherwise before, as with a new tokenizer.

    Raises:
        ValueError: `before` and `after` differ in length, or too few rows.
    """
    if len(before) != len(after):
        raise ValueError(f"before and after: paired rows are needed, not {len(before)} and {len(after)}")
    if not before:
        raise ValueError("values: an interval needs at least one row; the data set is empty")
    plain = weights is None and weights_before is None
    if plain and is_binary(before) and is_binary(after):
        gained = sum(1 for x, y in zip(before, after, strict=True) if x < y)
        lost = sum(1 for x, y in zip(before, after, strict=True) if x > y)
        return bonett_price(gained, lost, len(before))
    change = weighted_mean(after, weights) - weighted_mean(before, weights_before)
    pairs = zip(_shares(before, weights_before), _shares(after, weights), strict=True)
    return _t_around(change, [y - x for x, y in pairs])


def share_interval(values: Sequence[float]) -> Interval:
    """95 % interval of the mean of shares, which stays within 0 and 1 as they do.

    Wilson's interval of as many 0/1 rows as would give the mean the same variance (the effective sample size, as in
    Korn and Graubard, Survey Methodology 24, 1998). Where all rows are alike it is that of as many 0/1 rows.
    """
    n, mean = len(values), fmean(values)
    spread = sum((value - mean) ** 2 for value in values) / max(n - 1, 1)
    rows = n * mean * (1 - mean) / spread if spread else n
    return wilson(mean * rows, rows)


def wilson(successes: float, n: float) -> Interval:
    """Wilson's score interval of a rate (doi:10.1080/01621459.1927.10502953)."""
    rate, z2 = successes / n, Z * Z
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = Z * sqrt(max(0.0, rate * (1 - rate)) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return (max(0.0, centre - half) if successes else 0.0), (min(1.0, centre + half) if successes < n else 1.0)


def bonett_price(gained: int, lost: int, n: int) -> Interval:
    """Interval of (gained - lost) / n for n paired 0/1 rows, one made-up row added to each kind of disagreement."""
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = Z * sqrt((up + down - (up - down) ** 2) / (n + 2))
    return max(-1.0, up - down - half), min(1.0, up - down + half)


def are_shares(values: Sequence[float]) -> bool:
    """Whether every value lies within 0 and 1."""
    return all(0 <= value <= 1 for value in values)


def is_binary(values: Sequence[float]) -> bool:
    """Whether every value is 0 or 1."""
    return all(value in (0, 1) for value in values)


def weighted_mean(values: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """sum(w v) / sum(w); the plain mean without weights."""
    if weights is None:
        return fmean(values)
    return fmean(values, weights)


def _shares(values: Sequence[float], weights: Sequence[float] | None) -> list[float]:
    """By how much, times the number of rows less one, the weighted mean differs from what it is without each row.

    Their squares give the jackknife's variance, for weighted rows a little more than linearising does and so nearer to
    the truth; without weights they are the deviations from the mean.
    """
    n, mean = len(values), weighted_mean(values, weights)
    usual = 1.0 if weights is None else fmean(weights)
    shares = [1.0] * n if weights is None else [weight / usual for weight in weights]
    scale = [w * (n - 1) / (n - w) if w < n else 0.0 for w in shares]
    return [w * (value - mean) for w, value in zip(scale, values, strict=True)]


def _t_around(centre: float, shares: Sequence[float]) -> Interval:
    n = len(shares)
    if n < 2:
        raise ValueError("values: an interval needs at least two rows; raise the number of rows")
    half = t_quantile(n - 1) * sqrt(sum(share * share for share in shares) / (n - 1) / n)
    return centre - half, centre + half


def t_quantile(degrees: int) -> float:
    """97.5 % quantile of Student's t: Abramowitz and Stegun 26.7.5, error under 0.005; exact below 3 degrees."""
    if degrees <= 2:
        return 12.7062047 if degrees == 1 else 4.30265273
    z, v = Z, degrees
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + first / v + second / v**2 + third / v**3 + fourth / v**4
