"""Worlds that several files of tests share, made once for each."""

from __future__ import annotations

from typing import Any

import pytest

from .world import World


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("plain"), 40)


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from .test_inside import Layered

    return Layered(tmp_path_factory.mktemp("layered"))
