"""What every test shares: data packs and golden vectors, where the machine has them."""

import os
from pathlib import Path

import pytest


def folder_of(variable: str, what: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: {what} are not on this machine")
    return Path(value)


@pytest.fixture(scope="session")
def packs() -> Path:
    """Folder with the data packs ``camvid`` and ``carla``."""
    return folder_of("AUTOADAPT_DATA", "the data packs")


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Folder with golden numbers recorded from official implementations."""
    return folder_of("AUTOADAPT_VECTORS", "the golden vectors")
