"""What a style is made of: all statistics of a domain, and nothing else.

Colours are display values of 0 to 255; lengths are metres; a pair is the range of a uniform
draw.
"""

from dataclasses import dataclass

from autoadapt.data.street.dice import Range

Colour = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where things stand and how many there are.

    Attributes:
        focal: Focal length in image widths.
        horizon: Height of the horizon from the top, in image heights.
        sway: Place of the vanishing point from the left, in image widths (the yaw).
        eye: Camera height.
        driving_side: 1 to drive on the right, -1 on the left.
        half_road: Half the width of the road.
        pavement: Width of each pavement.
        storeys: Storeys of a building.
        frontage: Length of a building along the street.
        gap_chance: Chance of an open gap after a building.
        garden_chance: Chance that a building stands back behind a fence or hedge.
        hedge_share: Share of hedges among those borders.
        railing_chance: Chance of a railing along each kerb.
        junction_chance: Chance of a crossing street.
        tree_spacing: Distance between street trees on one side.
        tree_height: Height of a street tree.
        bare: Share of a crown through which one sees, 0 to 1.
        lamp_spacing: Distance between lamp posts on one side.
        signs: Number of traffic signs.
        parked: Chance that a place at the kerb is taken.
        moving: Number of cars that drive.
        crossing_cars: Number of cars seen from the side.
        walkers: Number of people on the pavements.
        crossers: Number of people on the road.
        cyclists: Number of cyclists.
    """

    focal: Range
    horizon: Range
    sway: Range
    eye: Range
    driving_side: int
    half_road: Range
    pavement: Range
    storeys: Range
    frontage: Range
    gap_chance: float
    garden_chance: float
    hedge_share: float
    railing_chance: float
    junction_chance: float
    tree_spacing: Range
    tree_height: Range
    bare: Range
    lamp_spacing: Range
    signs: Range
    parked: float
    moving: Range
    crossing_cars: Range
    walkers: Range
    crossers: Range
    cyclists: Range


@dataclass(frozen=True, kw_only=True)
class Materials:
    """Colours to choose from, and how rough surfaces are.

    Attributes:
        tones: Relative brightness of one and the same material from scene to scene.
        rough: Contrast of the fine grain of a surface, 0 for a flat one.
        dirt: Contrast of its large stains.
    """

    walls: tuple[Colour, ...]
    roofs: tuple[Colour, ...]
    trims: tuple[Colour, ...]
    roads: tuple[Colour, ...]
    pavements: tuple[Colour, ...]
    foliage: tuple[Colour, ...]
    bark: tuple[Colour, ...]
    cars: tuple[Colour, ...]
    clothes: tuple[Colour, ...]
    fences: tuple[Colour, ...]
    metal: tuple[Colour, ...]
    tones: Range
    rough: Range
    dirt: Range


@dataclass(frozen=True, kw_only=True)
class Weather:
    """Light and air of one kind of day.

    Attributes:
        zenith: Colour of the sky above.
        low_sky: Colour of the sky at the horizon, and of the haze.
        cloud: Colour of the clouds.
        clouds: Share of the sky under clouds, 0 to 1.
        sun: Strength of the direct light; 0 casts no shadow.
        sun_colour: Colour of the direct light.
        ambient: Strength of the light from everywhere.
        ambient_colour: Colour of that light.
        slant: Length of a shadow across the street for each metre of height.
        haze: Inverse of the distance, in metres, at which haze hides three quarters.
        lamps: Share of windows that are lit.
    """

    zenith: Colour
    low_sky: Colour
    cloud: Colour
    clouds: Range
    sun: Range
    sun_colour: Colour
    ambient: Range
    ambient_colour: Colour
    slant: Range
    haze: Range
    lamps: float


@dataclass(frozen=True, kw_only=True)
class Lens:
    """What optics, sensor and encoding do to the light.

    Attributes:
        exposure: Gain.
        warmth: White balance: gain of red over blue.
        green: Gain of green.
        vignette: Loss of light in the corners, 0 to 1.
        blur: Number of passes of a three-tap binomial blur, fractions allowed.
        chroma_blur: Share of colour detail lost, as in a compressed photograph, 0 to 1.
        noise: Standard deviation of the noise, on the scale of 0 to 1.
        saturation: 1 keeps the colours.
        contrast: Weight of an S-shaped tone curve, 0 to 1.
        lift: Black level that stray light leaves, 0 to 1.
    """

    exposure: Range
    warmth: Range
    green: Range
    vignette: Range
    blur: Range
    chroma_blur: Range
    noise: Range
    saturation: Range
    contrast: Range
    lift: Range


@dataclass(frozen=True, kw_only=True)
class Style:
    """One domain."""

    layout: Layout
    materials: Materials
    weathers: tuple[Weather, ...]
    lens: Lens
