"""The styles by name."""

from types import MappingProxyType

from autoadapt.data.street.camera import CAMERA
from autoadapt.data.street.game import GAME

STYLES = MappingProxyType({"game": GAME, "camera": CAMERA})
"""Style of each name."""
