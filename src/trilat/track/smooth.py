"""Fixed-interval smoothing of stored tracks, in plain numpy: for replay, history and scoring, never for the live picture.

Rauch, Tung and Striebel, AIAA Journal 3, 1965, over nearly constant velocity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def constant_velocity(dt_s: float, noise_m2_s3: float) -> tuple[Floats, Floats]:
    """Return transition matrix F and noise covariance Q (6, 6) of nearly constant velocity over dt_s; noise is its density."""
    f, q = np.eye(6), np.zeros((6, 6))
    f[:3, 3:] = np.eye(3) * dt_s
    q[:3, :3] = np.eye(3) * noise_m2_s3 * dt_s**3 / 3
    q[:3, 3:] = q[3:, :3] = np.eye(3) * noise_m2_s3 * dt_s**2 / 2
    q[3:, 3:] = np.eye(3) * noise_m2_s3 * dt_s
    return f, q


def smooth(t_ns: NDArray[np.int64], mean: Floats, covariance: Floats, noise_m2_s3: float) -> tuple[Floats, Floats]:
    """Return smoothed means (n, 6) and covariances (n, 6, 6) of one track's filtered states at times t_ns, oldest first.

    The states must be those after each update, as a filter with this noise left them; a stored track of the live tracker is
    nearly so, and its smoothed path is better than its live one wherever later plots speak of it.
    """
    out_mean, out_covariance = mean.copy(), covariance.copy()
    for k in range(len(t_ns) - 2, -1, -1):
        f, q = constant_velocity((int(t_ns[k + 1]) - int(t_ns[k])) * 1e-9, noise_m2_s3)
        ahead = f @ covariance[k] @ f.T + q
        gain = np.linalg.solve(ahead, f @ covariance[k]).T
        out_mean[k] = mean[k] + gain @ (out_mean[k + 1] - f @ mean[k])
        out_covariance[k] = covariance[k] + gain @ (out_covariance[k + 1] - ahead) @ gain.T
    return out_mean, out_covariance
