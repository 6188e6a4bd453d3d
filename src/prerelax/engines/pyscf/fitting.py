"""Coulomb and exchange by density fitting in memory: fitted integrals, J and K, and their gradient."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyscf import df, gto, lib
from pyscf.df import addons
from pyscf.gto.moleintor import getints3c, make_cintopt
from scipy.linalg import cholesky, get_blas_funcs, solve_triangular

from prerelax.engines.pyscf.grids import factors

BLOCK_MB = 16.0
"""of three-index integrals treated at once: what stays in the processor's cache"""

Array = NDArray[np.float64]


class Fitting(df.DF):
    """PySCF's density fitting with the fitted integrals B[P, μ, ν] unpacked in memory.

    Σ_P B[P, μ, ν] B[P, λ, σ] ≈ (μν|λσ), the whole Coulomb operator only; PySCF's own class has its long
    range too, and goes to disk.
    """

    _keys = df.DF._keys | {"fitted", "metric_factor", "storage"}
    _last: tuple[Array, Array, Array] | None = None

    def __init__(self, mol: gto.Mole, auxbasis: Any = None, storage: Array | None = None) -> None:
        """`storage`: of an earlier molecule that is done with; `build` overwrites it."""
        super().__init__(mol, auxbasis)
        self.storage = storage

    def memory_mb(self) -> float:
        """What `build` needs at its peak: the integrals packed and unpacked, and the metric."""
        n_auxiliary = addons.make_auxmol(self.mol, self.auxbasis).nao_nr()
        return float(8e-6 * n_auxiliary * (1.5 * self.mol.nao_nr() ** 2 + 2 * n_auxiliary))

    def build(self) -> "Fitting":
        self.auxmol = addons.make_auxmol(self.mol, self.auxbasis)
        self.metric_factor = cholesky(self.auxmol.intor("int2c2e", hermi=1), lower=True)
        shells = (0, self.auxmol.nbas)
        pairs = _three_centre(self.mol, self.auxmol, "int3c2e", shells, "s2ij").T
        (trsm,) = get_blas_funcs(("trsm",), (self.metric_factor, pairs))
        pairs = trsm(1.0, self.metric_factor, pairs.T, lower=True, trans_a=1, side=1, overwrite_b=True).T
        n_functions = self.mol.nao_nr()
        size = len(pairs) * n_functions**2
        if self.storage is None or self.storage.size < size:
            self.storage = np.empty(size)
        self.fitted = self.storage[:size].reshape(len(pairs), n_functions, n_functions)
        lib.unpack_tril(pairs, out=self.fitted)
        self._cderi = self.fitted  # PySCF asks whether it is there
        return self

    def loop(self, blksize: int | None = None) -> Iterator[Array]:
        """The fitted integrals as PySCF reads them: packed, some auxiliary functions at once."""
        if self._cderi is None:
            self.build()
        for begin, end in self.prange(0, len(self.fitted), blksize or self.blockdim):
            yield lib.pack_tril(self.fitted[begin:end])

    def get_naoaux(self) -> int:
        if self._cderi is None:
            self.build()
        return len(self.fitted)

    def get_jk(
        self,
        dm: Array,
        hermi: int = 1,
        with_j: bool = True,
        with_k: bool = True,
        direct_scf_tol: float = 1e-13,
        omega: float | None = None,
    ) -> tuple[Array | None, Array | None]:
        """As PySCF's; fast where the density carries its orbitals."""
        if self._cderi is None:
            self.build()
        if not with_k:
            return self._coulomb(np.asarray(dm)), None
        if getattr(dm, "mo_coeff", None) is None:
            theirs: tuple[Array, Array] = super().get_jk(dm, hermi, with_j, with_k, direct_scf_tol, omega)
            return theirs
        if self._last is None or not np.array_equal(self._last[0], dm):
            results = [self._coulomb_exchange(c, signs) for c, signs in factors(dm)]
            coulomb, exchange = (
                np.array(matrices).reshape(dm.shape) for matrices in zip(*results, strict=True)
            )
            self._last = np.array(dm), coulomb, exchange
        return (self._last[1].copy() if with_j else None), self._last[2].copy()

    def _coulomb(self, density: Array) -> Array:
        """J of one or several densities [..., n_functions, n_functions]."""
        flat = self.fitted.reshape(len(self.fitted), -1)
        result: Array = ((density.reshape(-1, flat.shape[1]) @ flat.T) @ flat).reshape(density.shape)
        return result

    def _coulomb_exchange(self, orbitals: Array, signs: Array) -> tuple[Array, Array]:
        """J and K [n_functions, n_functions] of the density (orbitals · signs) orbitalsᵀ."""
        n_auxiliary, n_functions, _ = self.fitted.shape
        coulomb = np.zeros(n_functions**2)
        exchange = np.zeros((n_functions, n_functions))
        weighted = (orbitals * signs).T.ravel()
        for begin, end in lib.prange(0, n_auxiliary, _block_length(n_functions**2)):
            block = self.fitted[begin:end]
            half = np.matmul(orbitals.T, block)
            coulomb += (half.reshape(end - begin, weighted.size) @ weighted) @ block.reshape(end - begin, -1)
            flat = half.reshape(-1, n_functions)
            if np.all(signs > 0):
                exchange += flat.T @ flat
            else:
                exchange += (flat * np.tile(signs, end - begin)[:, None]).T @ flat
        return coulomb.reshape(n_functions, n_functions), exchange

    def gradient(self, density: Array, exchange_share: float) -> Array:
        """[n_atoms, 3] Eh/bohr: derivative of J's energy less `exchange_share` of exact exchange's.

        `density` carries its orbitals, [n, n] or [2, n, n]. From the first derivative of μ in (μν|P) alone;
        that of P follows as the energy does not change when everything moves together.
        """
        spins = [c for c, _ in factors(density)]
        total = np.asarray(density).reshape(-1, *density.shape[-2:]).sum(axis=0)
        factor = exchange_share * (0.5 if len(spins) == 1 else 1.0)
        coulomb, pairs = self._fitting_coefficients(spins)
        aux = self.auxmol
        gradient = np.zeros((self.mol.natm, 3))
        functions = self.mol.aoslice_by_atom()[:, 2:]
        aux_atoms = np.repeat(aux._bas[:, gto.ATOM_OF], np.diff(aux.ao_loc_nr()))
        for shells, (begin, end) in _shell_blocks(aux, BLOCK_MB * 1e6 / 8 / total.size):
            both = coulomb[begin:end, None, None] * total
            for orbitals, z in zip(spins, pairs, strict=True):
                if exchange_share:
                    both -= factor * np.matmul(orbitals, np.matmul(z[begin:end], orbitals.T))
            integrals = _three_centre(self.mol, aux, "int3c2e_ip1", shells, "s1")
            for axis in range(3):
                # integrals: μ, ν, P with μ the fastest; the density's three-index twin is symmetric in μ, ν
                by_function = np.einsum("pnm,pnm->pm", integrals[axis].T, both)
                gradient[:, axis] -= 2 * np.array([by_function[:, a:b].sum() for a, b in functions])
                np.add.at(gradient[:, axis], aux_atoms[begin:end], 2 * by_function.sum(axis=1))
        metric_weight = np.outer(coulomb, coulomb)
        for z in pairs:
            flat = z.reshape(len(z), z.shape[1] ** 2)
            metric_weight -= factor * (flat @ flat.T)
        by_auxiliary = np.einsum("xpq,pq->px", aux.intor("int2c2e_ip1"), metric_weight)
        np.add.at(gradient, aux_atoms, by_auxiliary)
        return gradient

    def _fitting_coefficients(self, spins: list[Array]) -> tuple[Array, list[Array]]:
        """V⁻¹(P|D) [n_auxiliary] and V⁻¹(P|ij) of each spin [n_auxiliary, n_occupied, n_occupied]."""
        n_auxiliary = len(self.fitted)
        coulomb, pairs = np.zeros(n_auxiliary), []
        for orbitals in spins:
            n_occupied = orbitals.shape[1]
            fitted = np.empty((n_auxiliary, n_occupied, n_occupied))
            for begin, end in lib.prange(0, n_auxiliary, _block_length(orbitals.shape[0] ** 2)):
                fitted[begin:end] = np.matmul(np.matmul(orbitals.T, self.fitted[begin:end]), orbitals)
            coulomb += np.einsum("pii->p", fitted)
            pairs.append(self._solved(fitted.reshape(n_auxiliary, n_occupied**2)).reshape(fitted.shape))
        return self._solved(coulomb[:, None])[:, 0], pairs

    def _solved(self, fitted: Array) -> Array:
        solved: Array = solve_triangular(self.metric_factor, fitted, lower=True, trans=1, check_finite=False)
        return solved


def _block_length(row: int) -> int:
    return max(1, int(BLOCK_MB * 1e6 / 8 / row))


def _shell_blocks(mol: gto.Mole, n_functions: float) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Ranges of shells, and of their functions, of about `n_functions` functions."""
    places = mol.ao_loc_nr()
    begin = 0
    while begin < mol.nbas:
        end = int(np.searchsorted(places, places[begin] + n_functions, side="right")) - 1
        end = min(max(end, begin + 1), mol.nbas)
        yield (begin, end), (int(places[begin]), int(places[end]))
        begin = end


def _three_centre(
    mol: gto.Mole, auxmol: gto.Mole, name: str, shells: tuple[int, int], symmetry: str
) -> Array:
    """PySCF's three-centre integrals with a range of auxiliary shells."""
    atm, bas, env = gto.conc_env(mol._atm, mol._bas, mol._env, auxmol._atm, auxmol._bas, auxmol._env)
    n = mol.nbas
    name = mol._add_suffix(name)
    components = 3 if "_ip" in name else 1
    integrals: Array = getints3c(
        name, atm, bas, env, (0, n, 0, n, n + shells[0], n + shells[1]), components, symmetry, None,
        make_cintopt(atm, bas, env, name),
    )  # fmt: skip
    return integrals
