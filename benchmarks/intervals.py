"""Figures with 95 % confidence intervals: rows are drawn again with replacement (percentile bootstrap, Efron 1979)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats  # type: ignore[import-untyped]

Rows = npt.NDArray[np.intp]
Statistic = Callable[[Rows], float]
"""A figure of the rows with these numbers."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def interval(statistic: Statistic, n: int, resamples: int, seed: int) -> Interval:
    """The figure of `n` rows (at least 2). With one seed every statistic sees the same draws."""
    found = stats.bootstrap(
        (np.arange(n),),
        statistic,
        n_resamples=resamples,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(statistic(np.arange(n)), float(found.low), float(found.high))


def difference(mine: Statistic, other: Statistic) -> Statistic:
    """Mine less the other on the same rows, so that what is hard for both does not widen the interval."""
    return lambda rows: mine(rows) - other(rows)


def share(part: npt.ArrayLike, whole: npt.ArrayLike | None = None) -> Statistic:
    """Sum of `part` over sum of `whole` (over the number of rows if left out): accuracy, recall, precision, F1."""
    above = np.asarray(part, np.float64)
    below = np.ones_like(above) if whole is None else np.asarray(whole, np.float64)
    return lambda rows: float(above[rows].sum() / max(below[rows].sum(), 1e-9))


def accuracy(known: Sequence[str], guesses: Sequence[str]) -> Statistic:
    """Share of the rows that are right."""
    return share([k == g for k, g in zip(known, guesses, strict=True)])


def macro_f1(known: Sequence[str], guesses: Sequence[str]) -> Statistic:
    """Mean F1 over the classes that occur among the right answers, as `nlu.evaluate.figures` has it."""
    names = {name: i for i, name in enumerate(dict.fromkeys([*known, *guesses]))}
    truth, guess = (np.array([names[name] for name in found]) for found in (known, guesses))

    def statistic(rows: Rows) -> float:
        mine, true = guess[rows], truth[rows]
        hits = np.bincount(true[mine == true], minlength=len(names))
        support, claimed = (np.bincount(found, minlength=len(names)) for found in (true, mine))
        occurs = support > 0
        return float((2 * hits[occurs] / (support + claimed)[occurs]).mean())

    return statistic
