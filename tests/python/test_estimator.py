"""bary.KMeans keeps scikit-learn's contract for estimators, by scikit-learn's own checks."""

from __future__ import annotations

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

import bary

# scikit-learn expects the same failure of its own KMeans. clients/python/README.md says it too.
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "the check shuffles the rows, and first centers are drawn by row number, so another "
        "clustering may be found; from given centers weights and repeats give equal bits"
    )
}


@pytest.mark.usefixtures("server")
@parametrize_with_checks(
    [bary.KMeans(), bary.KMeans(n_clusters=2, init="random", n_init=2)],
    expected_failed_checks=lambda estimator: EXPECTED,
)
def test_estimator_passes(estimator: BaseEstimator, check: object) -> None:
    check(estimator)
