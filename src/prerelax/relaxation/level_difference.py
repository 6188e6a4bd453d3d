"""What a target's energy surface has beyond a cheap level's, learned from the target's gradients alone.

A Gaussian process over the difference of the two levels, conditioned on differences of gradients (Rasmussen
and Williams, Gaussian Processes for Machine Learning, 2006, section 9.4; for geometry optimization: Denzel
and Kästner, J. Chem. Phys. 2018, 148, 094114; in internal coordinates: Meyer and Hauser, J. Chem. Phys. 2020,
152, 084112). The covariance is a sum over internal coordinates, so that one gradient tells of every stretch,
bend, torsion and contact at once; coordinates of one type, such as the C–H bonds of methyl groups, have most
of it in common. Two small terms, over all coordinates together and over the atoms' positions, take what no
sum of single coordinates explains: the corrected surface has the target's gradient wherever it is known.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from prerelax.relaxation.primitives import ACROSS, BEND, CONTACT, STRAIGHT, STRETCH, TORSION, Primitives

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Derivatives = tuple[Vector, Vector, Vector]


@dataclass(frozen=True)
class Prior:
    """How far two levels differ, before any gradient is known: standard deviations and lengths of change."""

    stretch_ev: float = 0.06
    stretch_ang: float = 0.17
    bend_ev: float = 0.12
    bend_rad: float = 0.5
    torsion_ev: float = 0.028
    """of one torsion; of those about one bond together, by the fourth root of their number more"""
    torsion_sharpness: float = 2.0
    """of exp(sharpness (cos Δφ − 1)), which has the period of a torsion"""
    straight_ev: float = 0.12
    straight_cosine: float = 0.25
    """of bends that have become straight: known by their cosines"""
    contact_ev: float = 0.04
    contact_ang: float = 0.6
    contact_decay_ang: float = 1.5
    """contacts of more than 2 Å count for less by exp(−distance beyond / decay)"""
    joint_ev: float = 0.04
    joint_per_ang2: float = 4.0
    joint_bend_per_rad2: float = 2.0
    joint_torsion_per_rad2: float = 0.5
    joint_straight: float = 8.0
    """inverse squares of the lengths over which the joint term changes"""
    position: tuple[tuple[float, float], ...] = ((0.0002, 0.6), (0.003, 0.3))
    """eV and Å of the term over positions; taken is what makes the known gradients likelier.

    What this term takes of a gradient tells nothing of the neighbourhood, so it is small where the
    coordinates explain the gradients. Where they do not (linear bends are no coordinate) it must not be.
    """
    common: float = 0.85
    """the share of the variance that coordinates of one type have in common"""
    noise_ev_ang: float = 5e-4
    """of a gradient's component, as grids and self-consistency leave it. With less, what two geometries
    0.001 Å apart differ by is taken for a torsion's slope, and the next step goes far uphill."""


@dataclass(frozen=True)
class Expected:
    """The difference that is expected before any gradient of a molecule is known, by its coordinates."""

    slopes: Vector
    """[n_coordinates] eV by Å or rad, at the value 0"""
    curvatures: Vector
    """[n_coordinates] eV by Å² or rad²"""
    waves: Matrix
    """[n_coordinates, 3] eV of cos φ, cos 2φ and cos 3φ"""

    def __call__(self, values: Vector) -> tuple[float, Vector, Vector]:
        """Energy in eV, and its first and second derivatives by each of the coordinates' `values`."""
        n = np.arange(1, 4)
        angles = values[:, None] * n
        first = self.slopes + self.curvatures * values - np.sum(self.waves * n * np.sin(angles), axis=1)
        second = self.curvatures - np.sum(self.waves * n**2 * np.cos(angles), axis=1)
        energy = np.sum((self.slopes + self.curvatures * values / 2) * values)
        return float(energy + np.sum(self.waves * np.cos(angles))), first, second


@dataclass(frozen=True)
class _Point:
    """A geometry whose gradients are known."""

    x: Vector
    values: Vector
    derivatives: Matrix


class LevelDifference:
    """The expected difference, target minus cheap level, of energy and gradient at any geometry near by."""

    def __init__(
        self,
        coordinates: Primitives,
        x: Vector,
        prior: Prior | None = None,
        expected: Expected | None = None,
    ) -> None:
        self.coordinates = coordinates
        self.expected = expected
        self.prior = prior = prior or Prior()
        kinds, first = coordinates.kinds, coordinates.values(x)
        scales = {
            STRETCH: (prior.stretch_ev, prior.stretch_ang, prior.joint_per_ang2),
            BEND: (prior.bend_ev, prior.bend_rad, prior.joint_bend_per_rad2),
            TORSION: (prior.torsion_ev, 1.0, prior.joint_torsion_per_rad2),
            STRAIGHT: (prior.straight_ev, prior.straight_cosine, prior.joint_straight),
            ACROSS: (prior.bend_ev, prior.bend_rad, prior.joint_bend_per_rad2),
            CONTACT: (prior.contact_ev, prior.contact_ang, 0.0),
        }
        table = np.array([scales[int(kind)] for kind in kinds]).reshape(-1, 3)
        self._variances, self._lengths, self._joint = table[:, 0] ** 2, table[:, 1], table[:, 2]
        self._turning = kinds == TORSION
        self._variances[self._turning] /= np.sqrt(coordinates.shared[self._turning])
        self._joint[self._turning] /= coordinates.shared[self._turning]
        contact = kinds == CONTACT
        beyond = np.maximum(first[contact] - 2.0, 0.0)
        self._variances[contact] *= np.exp(-2 * beyond / prior.contact_decay_ang)
        self._i, self._j = np.nonzero(coordinates.types[:, None] == coordinates.types)
        roots = np.sqrt(self._variances)
        self._common = prior.common * roots[self._i] * roots[self._j]
        self._points: list[_Point] = []
        self._differences: list[Vector] = []
        self._covariance: Matrix = np.zeros((0, 0))
        """of the known gradients [n, n], without noise and without the term over positions"""
        self._position = prior.position[0]
        self._weights: list[Vector] = []
        self._pulls: list[Vector] = []

    def learn(self, x: Vector, difference: Vector) -> None:
        """Take in the difference of the gradients [3 n_atoms] eV/Å at the positions `x` [3 n_atoms] Å."""
        point = _Point(x, self.coordinates.values(x), self.coordinates.derivatives(x))
        n, known = x.size, self._covariance
        whole = np.zeros((known.shape[0] + n,) * 2)
        whole[:-n, :-n] = known
        for i, other in enumerate(self._points):
            block = self._block(point, other)
            whole[-n:, i * n : (i + 1) * n], whole[i * n : (i + 1) * n, -n:] = block, block.T
        whole[-n:, -n:] = self._block(point, point)
        self._covariance = whole
        if self.expected is not None:
            difference = difference - point.derivatives.T @ self.expected(point.values)[1]
        self._points.append(point)
        self._differences.append(difference)
        self._weights, self._pulls = [], []

    def covariance(self) -> Matrix:
        """[n_points · 3 n_atoms, the same] of the known gradients, noise and the smaller term included."""
        places = np.array([point.x for point in self._points])
        noise = self.prior.noise_ev_ang**2 * np.eye(places.size)
        whole: Matrix = self._covariance + noise + _position_covariance(places, *self.prior.position[0])
        return whole

    def _solve(self) -> None:
        """The weights of what is known, once after the last gradient that was taken in."""
        if self._weights or not self._points:
            return
        known, places = np.concatenate(self._differences), np.array([point.x for point in self._points])
        best = -np.inf
        for position in self.prior.position:
            # in place: a covariance of many atoms and gradients is a gigabyte
            whole = _position_covariance(places, *position)
            whole += self._covariance
            whole[np.diag_indices_from(whole)] += self.prior.noise_ev_ang**2
            factor = cho_factor(whole.T, overwrite_a=True, check_finite=False)
            solved = cho_solve(factor, known)
            likelihood = -(known @ solved) / 2 - float(np.sum(np.log(np.diag(factor[0]))))
            del whole, factor
            if likelihood > best:
                best, self._position, weights = likelihood, position, solved
        self._weights = list(weights.reshape(len(self._points), -1))
        self._pulls = [p.derivatives @ w for p, w in zip(self._points, self._weights, strict=True)]

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        """Energy in eV, but for a constant, and gradient [3 n_atoms] in eV/Å."""
        self._solve()
        values, derivatives = self.coordinates.values(x), self.coordinates.derivatives(x)
        energy, along, gradient = 0.0, np.zeros(len(values)), np.zeros(x.size)
        if self.expected is not None:
            energy, along, _ = self.expected(values)
        height, length2 = self._position[0] ** 2, self._position[1] ** 2
        for point, weights, pull in zip(self._points, self._weights, self._pulls, strict=True):
            change = self.coordinates.change(values, point.values)
            first, second, _ = self._by_coordinates(values, point, pull)
            joint, towards, bends = self._joint_terms(change)
            energy += float(first + joint * (towards @ pull))
            along += second + joint * (bends * pull - towards * (towards @ pull))
            moved = x - point.x
            near = height / length2 * float(np.exp(-(moved @ moved) / (2 * length2)))
            energy += float(near * (moved @ weights))
            gradient += near * (weights - moved * (moved @ weights) / length2)
        return energy, gradient + derivatives.T @ along

    def hessian(self, x: Vector) -> Matrix:
        """[3 n_atoms, 3 n_atoms] eV/Å², the curvature of the coordinates themselves left out."""
        self._solve()
        values, derivatives = self.coordinates.values(x), self.coordinates.derivatives(x)
        single, rest = np.zeros(len(values)), np.zeros((x.size, x.size))
        if self.expected is not None:
            single += self.expected(values)[2]
        for point, pull in zip(self._points, self._pulls, strict=True):
            change = self.coordinates.change(values, point.values)
            single += self._by_coordinates(values, point, pull)[2]
            joint, towards, bends = self._joint_terms(change)
            single -= joint * np.where(self._turning, towards * pull, 0.0)
            step, force = derivatives.T @ towards, derivatives.T @ (bends * pull)
            along = float(towards @ pull)
            rest -= joint * (np.outer(force, step) + np.outer(step, force))
            rest += joint * along * (np.outer(step, step) - derivatives.T @ (bends[:, None] * derivatives))
        return derivatives.T @ (single[:, None] * derivatives) + rest

    def _block(self, a: _Point, b: _Point) -> Matrix:
        """[3 n_atoms, 3 n_atoms] covariance of the gradients at two geometries, without positions' term."""
        change = self.coordinates.change(a.values, b.values)
        joint, towards, bends = self._joint_terms(change)
        own, common = self._terms(a.values, b.values)
        covariance = np.zeros((len(change),) * 2)
        covariance[self._i, self._j] = common[1]
        covariance[np.diag_indices(len(change))] += own[1] + joint * bends
        block: Matrix = a.derivatives.T @ covariance @ b.derivatives
        return block - joint * np.outer(a.derivatives.T @ towards, b.derivatives.T @ towards)

    def _by_coordinates(self, values: Vector, point: _Point, pull: Vector) -> tuple[float, Vector, Vector]:
        """Energy, its derivatives by the coordinates and its second ones, from one point's pulls."""
        own, common = self._terms(values, point.values)
        n, pulls = len(values), pull[self._j]
        energy = float(own[0] @ pull + common[0] @ pulls)
        second = own[1] * pull + np.bincount(self._i, common[1] * pulls, n)
        third = own[2] * pull + np.bincount(self._i, common[2] * pulls, n)
        return energy, second, third

    def _terms(self, values: Vector, others: Vector) -> tuple[Derivatives, Derivatives]:
        """Of each coordinate's own term [n_coordinates], and of the common one of each pair of a type.

        What a torsion has in common with others is the same for both senses of turning.
        """
        i, j, turning = self._i, self._j, self._turning
        every = np.arange(len(values))
        own = self._single(values - others, every, (1 - self.prior.common) * self._variances)
        common = self._single(values[i] - others[j], i, self._common)
        turns = turning[i]
        mirrored = self._single((values[i] + others[j])[turns], i[turns], self._common[turns])
        for part, mirror in zip(common, mirrored, strict=True):
            part[turns] -= mirror
        return own, common

    def _single(self, change: Vector, places: NDArray[np.int64], variances: Vector) -> Derivatives:
        """Derivatives of the covariances k(q − q'): by q', by q and q', by q twice and q'."""
        lengths, turn, sharp = self._lengths[places], self._turning[places], self.prior.torsion_sharpness
        ratio = change / lengths
        bell = variances * np.exp(-(ratio**2) / 2)
        first = bell * ratio / lengths
        second = bell * (1 - ratio**2) / lengths**2
        third = bell * (ratio**3 - 3 * ratio) / lengths**3
        sine, cosine = np.sin(change[turn]), np.cos(change[turn])
        bell = variances[turn] * np.exp(sharp * (cosine - 1))
        slope = sharp * cosine - sharp**2 * sine**2
        first[turn], second[turn] = bell * sharp * sine, bell * slope
        third[turn] = -bell * sharp * sine * (1 + 2 * sharp * cosine + slope)
        return first, second, third

    def _joint_terms(self, change: Vector) -> tuple[float, Vector, Vector]:
        """The covariance of all coordinates together; over it, its first derivatives and the diagonal part of
        its second ones.

        2 − 2 cos Δφ stands for the square of a torsion's change: Δφ², the shorter way round, is no covariance
        of geometries half a turn apart.
        """
        turn = self._turning
        squares, slopes, bends = change**2, change.copy(), np.ones(len(change))
        squares[turn], slopes[turn] = 2 - 2 * np.cos(change[turn]), np.sin(change[turn])
        bends[turn] = np.cos(change[turn])
        term = float(self.prior.joint_ev**2 * np.exp(-(self._joint @ squares) / 2))
        return term, self._joint * slopes, self._joint * bends


def _position_covariance(places: Matrix, height_ev: float, length_ang: float) -> Matrix:
    """[n, n] of the gradients at `places` [n_points, 3 n_atoms] Å, by the term over positions."""
    n_points, n = places.shape
    whole = np.zeros((n_points, n, n_points, n))
    for i, j in np.ndindex(n_points, n_points):
        moved = (places[i] - places[j]) / length_ang
        near = (height_ev / length_ang) ** 2 * np.exp(-(moved @ moved) / 2)
        whole[i, :, j] = near * (np.eye(n) - np.outer(moved, moved))
    return whole.reshape(places.size, places.size)
