"""The things of a street as plain values: what, where, how large, which colour."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from autoadapt.data.street.style import Colour
from autoadapt.data.street.view import View

Rgb = tuple[float, float, float]
"""Linear red, green and blue; 1 is white paper in full light."""

END = 100.0
"""Depth at which the street ends in a skyline."""

STOREY = 3.1
"""Height of a storey."""


@dataclass(frozen=True)
class Light:
    """Light and air; all colours are linear.

    Attributes:
        ambient: Light that reaches every surface.
        sun: Direct light.
        side: 1 if the sun stands on the right, -1 on the left.
        front: Share of the sun that falls on surfaces that face the camera.
        slant: Length of a shadow across the street per metre of height.
        haze: Inverse depth at which haze hides three quarters.
        zenith: Sky above.
        low_sky: Sky at the horizon, and haze.
        cloud: Clouds.
        clouds: Share of the sky under clouds.
        drift: Where in the noise table the clouds start, in entries.
        lamps: Share of windows that are lit.
    """

    ambient: Rgb
    sun: Rgb
    side: int
    front: float
    slant: float
    haze: float
    zenith: Rgb
    low_sky: Rgb
    cloud: Rgb
    clouds: float
    drift: float
    lamps: float


@dataclass(frozen=True)
class Street:
    """The ground.

    Attributes:
        kerb: Half the width of the road.
        pavement: Width of each pavement.
        junction: Depths between which another street crosses; empty if equal.
        driving_side: 1 to drive on the right.
        road: Colour of the road.
        paving: Colour of the pavements.
        wear: How far the markings have faded, 0 to 1.
        phase: Where the dashes start.
        edge_line: Whether lines run along the kerbs.
        rough: Contrast of fine grain.
        dirt: Contrast of stains.
    """

    kerb: float
    pavement: float
    junction: tuple[float, float]
    driving_side: int
    road: Rgb
    paving: Rgb
    wear: float
    phase: float
    edge_line: bool
    rough: float
    dirt: float


@dataclass(frozen=True)
class House:
    """A building of one side; ``x`` is its front, ``start`` to ``end`` its extent in depth."""

    side: int
    x: float
    start: float
    end: float
    height: float
    roof: float
    bay: float
    glazing: float
    shop: bool
    wall: Rgb
    trim: Rgb
    tiles: Rgb


class Footprint(NamedTuple):
    """What a prop does to the light on the ground.

    Attributes:
        x: Place across the street.
        depth: Place along it.
        half_x: Half its extent across.
        half_depth: Half its extent along.
        foot: Height above the ground where it starts to cast a shadow.
        height: Height where it ends.
        covers: Whether it keeps even the light of the sky from the ground below it.
    """

    x: float
    depth: float
    half_x: float
    half_depth: float
    foot: float
    height: float
    covers: bool

    def touches(self, others: Iterable["Footprint"]) -> bool:
        """Return whether this comes closer than 0.3 m, along both axes, to any of the others."""
        x, depth, half_x, half_depth = self[:4]
        for other in others:
            if (
                abs(x - other.x) < half_x + other.half_x + 0.3
                and abs(depth - other.depth) < half_depth + other.half_depth + 0.3
            ):
                return True
        return False


@dataclass(frozen=True)
class Tree:
    """A trunk and a crown."""

    x: float
    depth: float
    height: float
    radius: float
    pointed: bool
    bare: float
    leaf: Rgb
    bark: Rgb
    variant: int

    @property
    def furthest(self) -> float:
        """Depth of its far end."""
        return self.depth

    def footprint(self) -> Footprint | None:
        """Return its effect on the ground."""
        return Footprint(
            self.x, self.depth, self.radius, self.radius, self.height * 0.45, self.height, False
        )


@dataclass(frozen=True)
class Lamp:
    """A lamp post with an arm over the road, or a bare pole if ``reach`` is 0."""

    x: float
    depth: float
    height: float
    reach: float
    metal: Rgb

    @property
    def furthest(self) -> float:
        """Depth of its far end."""
        return self.depth

    def footprint(self) -> Footprint | None:
        """Return its effect on the ground."""
        return Footprint(self.x, self.depth, 0.12, 0.12, 0.0, self.height, False)


@dataclass(frozen=True)
class Sign:
    """A board or a traffic light on a pole; kinds are in ``props``."""

    x: float
    depth: float
    height: float
    kind: str
    metal: Rgb

    @property
    def furthest(self) -> float:
        """Depth of its far end."""
        return self.depth

    def footprint(self) -> Footprint | None:
        """Return its effect on the ground."""
        return Footprint(self.x, self.depth, 0.15, 0.12, 0.0, self.height, False)


@dataclass(frozen=True)
class Fence:
    """A border along the street: ``boards``, ``railing``, ``guard`` or ``hedge``."""

    x: float
    start: float
    end: float
    height: float
    kind: str
    colour: Rgb

    @property
    def furthest(self) -> float:
        """Depth of its far end."""
        return self.end

    def footprint(self) -> Footprint | None:
        """Return None: a fence is too long for one ellipse."""
        return None


@dataclass(frozen=True)
class Car:
    """A car; ``heading`` 1 shows its back, -1 its front, 0 its side."""

    x: float
    depth: float
    length: float
    width: float
    height: float
    heading: int
    boxy: bool
    paint: Rgb
    lit: bool

    @property
    def furthest(self) -> float:
        """Depth of its far end."""
        return self.depth + self.length

    def footprint(self) -> Footprint:
        """Return its effect on the ground."""
        across, along = self.width / 2, self.length / 2
        if self.heading == 0:
            return Footprint(self.x, self.depth + across, along, across, 0.0, self.height, True)
        return Footprint(self.x, self.depth + along, across, along, 0.0, self.height, True)


@dataclass(frozen=True)
class Walker:
    """A person on foot; ``turn`` is 0 seen from the front and 1 from the side."""

    x: float
    depth: float
    height: float
    turn: float
    stride: float
    skin: Rgb
    hair: Rgb
    top: Rgb
    trousers: Rgb

    @property
    def furthest(self) -> float:
        """Depth of its far end."""
        return self.depth

    def footprint(self) -> Footprint:
        """Return its effect on the ground."""
        return Footprint(self.x, self.depth, 0.25, 0.2, 0.0, self.height, False)


@dataclass(frozen=True)
class Cyclist:
    """A person on a bicycle; ``turn`` is 0 seen from behind and 1 (or -1) from the side."""

    x: float
    depth: float
    height: float
    turn: float
    skin: Rgb
    helmet: Rgb
    top: Rgb
    trousers: Rgb
    frame: Rgb

    @property
    def furthest(self) -> float:
        """Depth of its far end."""
        return self.depth

    def footprint(self) -> Footprint:
        """Return its effect on the ground."""
        return Footprint(self.x, self.depth, 0.3, 0.5, 0.0, self.height, False)


Mover = TypeVar("Mover", Car, Walker | Cyclist)
Prop = Tree | Lamp | Sign | Fence | Car | Walker | Cyclist


@dataclass(frozen=True)
class Scene:
    """One street."""

    view: View
    light: Light
    street: Street
    houses: tuple[House, ...]
    props: tuple[Prop, ...]


def linear(colour: Colour, gain: float = 1.0) -> Rgb:
    """Return a display colour as linear light: a gamma of 2."""
    red, green, blue = colour
    scale = gain / 65025.0
    return (red * red * scale, green * green * scale, blue * blue * scale)
