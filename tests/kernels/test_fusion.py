"""Fusion kernels equal plain linear algebra, and claim no more than they may."""

from __future__ import annotations

import numpy as np
import pytest

from trilat.kernels import frames, fusion, information

TIGHT = 1e-9


def spd(g: np.random.Generator, n: int) -> np.ndarray:
    a = g.normal(size=(n, 6, 6)) * np.array([80.0] * 3 + [4.0] * 3)[:, None]
    return a @ np.swapaxes(a, 1, 2)


def fuse(rule: int, a: np.ndarray, A: np.ndarray, b: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # noqa: N803 - the paper's letters
    mean, covariance = np.empty_like(a), np.empty_like(A)
    fusion.fuse_pairs(a, A, b, B, rule, mean, covariance)
    return mean, covariance


@pytest.mark.parametrize("rule", [fusion.RULE_CI, fusion.RULE_INVERSE])
def test_the_best_weight_of_a_grid_is_no_better(rule: int) -> None:
    """The fused determinant is within rounding of the best over a fine grid of weights, computed by plain inverses."""
    g = np.random.default_rng(1)
    first, second = spd(g, 30), spd(g, 30)
    _, got = fuse(rule, np.zeros((30, 6)), first, np.zeros((30, 6)), second)
    inverse = np.linalg.inv
    for k in range(30):
        best = np.inf
        for w in np.linspace(0.0, 1.0, 401):
            if rule == fusion.RULE_CI:
                info = w * inverse(first[k]) + (1 - w) * inverse(second[k])
            else:
                info = inverse(first[k]) + inverse(second[k]) - inverse(w * first[k] + (1 - w) * second[k])
            best = min(best, -np.linalg.slogdet(info)[1])
        assert np.linalg.slogdet(got[k])[1] <= best + 1e-4


def test_naive_fusion_is_the_information_sum() -> None:
    """Fusing as if independent adds information and weighs means by it."""
    g = np.random.default_rng(2)
    first, second = spd(g, 20), spd(g, 20)
    a, b = g.normal(size=(20, 6)) * 100, g.normal(size=(20, 6)) * 100
    mean, covariance = fuse(fusion.RULE_NAIVE, a, first, b, second)
    info = np.linalg.inv(first) + np.linalg.inv(second)
    expected = np.linalg.inv(info)
    assert np.allclose(covariance, expected, rtol=1e-6, atol=1e-6)
    state = np.linalg.inv(first) @ a[..., None] + np.linalg.inv(second) @ b[..., None]
    assert np.allclose(mean, (expected @ state)[..., 0], rtol=1e-6, atol=1e-5)


def test_intersection_of_the_same_twice_gains_nothing() -> None:
    """An estimate fused with itself is itself, by covariance intersection and by its inverse form: no rumour grows."""
    g = np.random.default_rng(3)
    first, a = spd(g, 10), g.normal(size=(10, 6))
    for rule in (fusion.RULE_CI, fusion.RULE_INVERSE):
        mean, covariance = fuse(rule, a, first, a, first)
        assert np.allclose(mean, a, atol=1e-9)
        assert np.allclose(covariance, first, rtol=1e-6)


@pytest.mark.parametrize("rule", [fusion.RULE_CI, fusion.RULE_INVERSE])
def test_estimates_that_share_a_part_stay_honest(rule: int) -> None:
    """With a common part of unknown size in both errors the claimed covariance covers the true one (its trace in every case)."""
    g = np.random.default_rng(4)
    common, own_a, own_b = (spd(g, 40) for _ in range(3))
    first = np.linalg.inv(np.linalg.inv(common) + np.linalg.inv(own_a))
    second = np.linalg.inv(np.linalg.inv(common) + np.linalg.inv(own_b))
    truth = np.linalg.inv(np.linalg.inv(common) + np.linalg.inv(own_a) + np.linalg.inv(own_b))
    _, got = fuse(rule, np.zeros((40, 6)), first, np.zeros((40, 6)), second)
    assert (np.linalg.slogdet(got)[1] >= np.linalg.slogdet(truth)[1] - 1e-6).all()
    naive = fuse(fusion.RULE_NAIVE, np.zeros((40, 6)), first, np.zeros((40, 6)), second)[1]
    assert (np.linalg.slogdet(naive)[1] < np.linalg.slogdet(truth)[1]).all()


def test_a_covariance_that_is_none_is_left_out() -> None:
    """A member whose covariance is not positive definite changes nothing in its group."""
    bad = -np.eye(6)
    out, covariance = np.empty((1, 6)), np.empty((1, 6, 6))
    mean = np.array([[1.0] * 6, [9.0] * 6])
    fusion.fuse_groups(np.array([0, 2]), mean, np.stack([np.eye(6), bad]), np.zeros(2, np.int64), out, covariance)
    assert (mean[0].tolist(), np.eye(6).tolist()) == (out[0].tolist(), covariance[0].tolist())


def test_prediction_equals_plain_algebra() -> None:
    """Prediction of state and covariance equals F x and F P F' + Q, forward and back; free fall adds gravity."""
    g = np.random.default_rng(5)
    mean, covariance = g.normal(size=(4, 6)) * 1e3 + 6.4e6, spd(g, 4)
    moved, grown = mean.copy(), covariance.copy()
    t_ns = np.array([0, 500_000_000, 3_000_000_000, 5_000_000_000])
    fusion.predict_all(frames.earth("wgs84"), np.zeros(4, bool), np.full(4, 4.0), t_ns, 3_000_000_000, moved, grown)
    for k, dt in enumerate((3.0, 2.5, 0.0, -2.0)):
        move = np.eye(6) + dt * np.eye(6, k=3)
        age = abs(dt)
        noise = 4.0 * np.kron([[age**3 / 3, age * dt / 2], [age * dt / 2, age]], np.eye(3))
        assert np.allclose(moved[k], move @ mean[k], rtol=1e-12)
        assert np.allclose(grown[k], move @ covariance[k] @ move.T + noise, rtol=1e-9, atol=1e-6)
    falling = np.array([[6.478e6, 0.0, 0.0, 0.0, 0.0, 0.0]])
    fusion.predict_all(
        frames.earth("wgs84"), np.ones(1, bool), np.ones(1), t_ns[:1], 1_000_000_000, falling, covariance[:1].copy()
    )
    assert falling[0, 0] - 6.478e6 == pytest.approx(-4.73, abs=0.05)


def test_information_prediction_equals_covariance_prediction() -> None:
    """Where information is of full rank, moving it equals moving state and covariance; where it is not, it stays non-negative."""
    g = np.random.default_rng(6)
    covariance, mean = spd(g, 20), g.normal(size=(20, 6)) * 100
    info = np.linalg.inv(covariance)
    vector = (info @ mean[..., None])[..., 0]
    start, zero = np.arange(21), np.zeros(20, np.int64)
    out, moved = np.empty((20, 6, 6)), np.empty((20, 6))
    none = np.zeros((20, 6, 6))
    information.run(start, zero, info, vector, zero, none, np.zeros((20, 6)), np.full(20, 4.0), 7_000_000_000, out, moved)
    got, spread = np.empty((20, 6)), np.empty((20, 6, 6))
    assert 20 == information.states(out, moved, got, spread)
    other, grown = mean.copy(), covariance.copy()
    fusion.predict_all(frames.earth("wgs84"), np.zeros(20, bool), np.full(20, 4.0), zero, 7_000_000_000, other, grown)
    assert np.allclose(got, other, rtol=1e-5, atol=1e-5)
    assert np.allclose(spread, grown, rtol=1e-5, atol=1e-4)
    vector /= 30.0 * np.linalg.norm(vector, axis=1)[:, None]  # as sure as a position known to 30 m
    thin = np.einsum("ni,nj->nij", vector, vector)
    information.run(start, zero, thin, vector, zero, none, np.zeros((20, 6)), np.full(20, 4.0), 7_000_000_000, out, moved)
    values = np.linalg.eigvalsh(out)
    assert (values.min(axis=1) >= -TIGHT * values.max(axis=1)).all()
    assert 0 == information.states(out, moved, got, spread)
