"""A backbone that is not installed is one sentence."""

import sys

import pytest

from prerelax.errors import MissingProgramError
from prerelax.networks.so3 import SO3Net


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "e3nn", None)
    with pytest.raises(MissingProgramError, match=r"pip install 'prerelax\[so3\]'"):
        SO3Net(n_features=4, n_interactions=1)
