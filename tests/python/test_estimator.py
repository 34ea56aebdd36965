"""bary.KMeans keeps scikit-learn's contract for estimators, by scikit-learn's own checks."""

from __future__ import annotations

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

import bary

# Named with its reason in clients/python/README.md.
EXPECTED: dict[str, str] = {}


@pytest.mark.usefixtures("server")
@parametrize_with_checks(
    [bary.KMeans(), bary.KMeans(n_clusters=2, init="random", n_init=2)],
    expected_failed_checks=lambda estimator: EXPECTED,
)
def test_estimator_passes(estimator: BaseEstimator, check: object) -> None:
    check(estimator)
