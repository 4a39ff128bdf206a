"""A small world for the tests of fusion: aircraft in straight flight, each nation's tracks of them with honest errors."""

from __future__ import annotations

import numpy as np

from trilat.fuse.combine import PartnerItem
from trilat.kernels import geodesy
from trilat.records.columns import Tracks, empty_tracks
from trilat.records.label import Label, Mode
from trilat.records.report import Pedigree
from trilat.records.track import Track

START_NS = 1_760_000_000_000_000_000
NATIONS = ("JPN", "KOR", "USA")


def label(nation: str) -> Label:
    return Label(policy="TRILAT", originator=nation, mode=Mode(kind="exercise", id="test"), level=1)


class World:
    """Targets with constant velocity; each nation's tracks have errors that wander slowly, as a tracker's do."""

    def __init__(self, targets: int, seed: int, spread_m: float = 400_000.0, sigma_m: float = 80.0) -> None:
        self.g = np.random.default_rng(seed)
        self.n, self.sigma_m = targets, sigma_m
        self.lat = 33.0 + self.g.uniform(-1, 1, targets) * spread_m / 2 / 111_000
        self.lon = 129.0 + self.g.uniform(-1, 1, targets) * spread_m / 2 / 93_000
        self.alt = self.g.uniform(3_000, 11_000, targets)
        self.position = geodesy.geodetic_to_ecef(self.lat, self.lon, self.alt)
        heading, speed = self.g.uniform(0, 2 * np.pi, targets), self.g.uniform(150, 280, targets)
        local = np.stack([speed * np.sin(heading), speed * np.cos(heading), 0 * speed], axis=1)
        basis = geodesy.enu_basis(self.lat, self.lon)
        self.velocity = np.einsum("nji,nj->ni", basis, local)
        self.error = {
            nation: np.concatenate([self.g.normal(0, sigma_m, (targets, 3)), self.g.normal(0, 3.0, (targets, 3))], axis=1)
            for nation in NATIONS
        }
        self.numbers = {nation: self.g.permutation(targets) + 1 for nation in NATIONS}
        # Each nation is better along another axis of space, as radars at other places are.
        self.covariance = {n: np.diag([sigma_m**2] * 3 + [9.0] * 3) for n in NATIONS}
        for k, nation in enumerate(NATIONS):
            self.covariance[nation][k, k] /= 4.0
            self.error[nation][:, k] /= 2.0

    def truth(self, t_s: float) -> np.ndarray:
        """Give every target's position and velocity, (n, 6)."""
        return np.concatenate([self.position + t_s * self.velocity, self.velocity], axis=1)

    def states(self, nation: str, t_s: float) -> np.ndarray:
        """Give a nation's states: the truth with an error that has turned a little since the last call's time."""
        phase = np.cos(0.02 * t_s + self.numbers[nation])[:, None]
        return self.truth(t_s) + self.error[nation] * phase

    def tracks(self, nation: str, t_s: float, seen: np.ndarray | None = None) -> Tracks:
        """Give a nation's own tracks of the targets it sees."""
        rows = empty_tracks(self.n)
        state = self.states(nation, t_s)
        now_ns = START_NS + round(t_s * 1e9)
        rows["number"], rows["t_ns"], rows["updated_t_ns"] = self.numbers[nation], now_ns, now_ns
        rows["status"], rows["domain"], rows["existence"], rows["sensors"] = 1, 1, 1.0, 1
        rows["position_m"], rows["velocity_m_s"], rows["covariance"] = state[:, :3], state[:, 3:], self.covariance[nation]
        rows = rows if seen is None else rows[seen]
        return Tracks(stream=f"{nation}/national", t_ns=now_ns, columns=rows[np.argsort(rows["number"])])

    def items(
        self, nation: str, t_s: float, sequence: int = 0, seen: np.ndarray | None = None, **values: object
    ) -> list[PartnerItem]:
        """Give a nation's tracks as a partner gets them."""
        state, now_ns = self.states(nation, t_s), START_NS + round(t_s * 1e9)
        place = geodesy.ecef_to_geodetic(state[:, :3])
        basis = geodesy.enu_basis(place[:, 0], place[:, 1])
        velocity = np.einsum("nij,nj->ni", basis, state[:, 3:])
        covariance = geodesy.rotate_covariance(np.broadcast_to(self.covariance[nation], (self.n, 6, 6)), basis)
        upper = covariance[:, *np.triu_indices(6)]
        which = range(self.n) if seen is None else np.flatnonzero(seen).tolist()
        return [
            PartnerItem(
                nation,
                Track(
                    **{
                        "stream": f"{nation}/track",
                        "number": int(self.numbers[nation][k]),
                        "t_ns": now_ns,
                        "updated_t_ns": now_ns,
                        "status": "confirmed",
                        "label": label(nation),
                        "pedigree": Pedigree(nation=nation, sensors=("R1",)),
                        "domain": "air",
                        "lat_deg": float(place[k, 0]),
                        "lon_deg": float(place[k, 1]),
                        "alt_m": float(place[k, 2]),
                        "velocity_east_m_s": float(velocity[k, 0]),
                        "velocity_north_m_s": float(velocity[k, 1]),
                        "velocity_up_m_s": float(velocity[k, 2]),
                        "covariance": tuple(upper[k].tolist()),
                    }
                    | values
                ),
                1,
                sequence * 10_000 + k,
            )
            for k in which
        ]
