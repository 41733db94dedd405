"""What makes a ``game`` scene and a ``camera`` scene: all statistics, and nothing else.

Colours are display values of 0 to 255; lengths are metres; a pair is the range of a uniform
draw.
"""

from dataclasses import dataclass
from types import MappingProxyType

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


_GAME = Style(
    layout=Layout(
        focal=(0.70, 0.80),
        horizon=(0.44, 0.50),
        sway=(0.44, 0.56),
        eye=(1.7, 2.1),
        driving_side=1,
        half_road=(4.2, 5.4),
        pavement=(3.0, 4.6),
        storeys=(1.6, 4.4),
        frontage=(9.0, 18.0),
        gap_chance=0.35,
        garden_chance=0.45,
        hedge_share=0.25,
        railing_chance=0.12,
        junction_chance=0.4,
        tree_spacing=(9.0, 22.0),
        tree_height=(4.5, 8.0),
        bare=(0.0, 0.06),
        lamp_spacing=(13.0, 22.0),
        signs=(1.5, 4.0),
        parked=0.18,
        moving=(1.0, 3.5),
        crossing_cars=(0.0, 0.6),
        walkers=(4.0, 8.0),
        crossers=(0.0, 1.2),
        cyclists=(0.6, 2.0),
    ),
    materials=Materials(
        walls=(
            (206, 112, 74),
            (236, 214, 168),
            (184, 88, 68),
            (112, 162, 168),
            (232, 230, 222),
            (222, 174, 92),
            (198, 142, 150),
            (150, 178, 128),
        ),
        roofs=((150, 72, 54), (96, 84, 88), (122, 62, 48), (84, 96, 116)),
        trims=((246, 242, 232), (236, 226, 206), (92, 66, 54)),
        roads=((92, 92, 100), (84, 86, 94), (100, 98, 102)),
        pavements=((186, 178, 164), (196, 184, 166), (174, 170, 166)),
        foliage=((84, 156, 50), (66, 140, 58), (112, 168, 56), (58, 124, 44)),
        bark=((116, 82, 56), (128, 96, 66)),
        cars=(
            (208, 44, 38),
            (36, 92, 190),
            (240, 196, 48),
            (238, 238, 236),
            (48, 50, 58),
            (52, 150, 96),
            (228, 122, 40),
        ),
        clothes=(
            (206, 58, 52),
            (52, 98, 182),
            (238, 206, 82),
            (238, 238, 238),
            (64, 64, 76),
            (86, 160, 96),
            (176, 84, 158),
        ),
        fences=((172, 124, 78), (232, 228, 218), (140, 98, 62), (96, 132, 96)),
        metal=((122, 126, 132), (92, 96, 104), (62, 84, 72)),
        tones=(0.92, 1.08),
        rough=(0.04, 0.12),
        dirt=(0.0, 0.10),
    ),
    weathers=(
        Weather(
            zenith=(58, 128, 224),
            low_sky=(176, 214, 246),
            cloud=(252, 252, 252),
            clouds=(0.25, 0.6),
            sun=(0.75, 0.95),
            sun_colour=(255, 246, 226),
            ambient=(0.46, 0.56),
            ambient_colour=(222, 234, 255),
            slant=(0.25, 0.6),
            haze=(0.0005, 0.0015),
            lamps=0.0,
        ),
        Weather(
            zenith=(66, 128, 214),
            low_sky=(244, 220, 186),
            cloud=(255, 240, 218),
            clouds=(0.2, 0.5),
            sun=(0.75, 0.95),
            sun_colour=(255, 226, 176),
            ambient=(0.46, 0.56),
            ambient_colour=(224, 226, 250),
            slant=(0.5, 0.9),
            haze=(0.0008, 0.002),
            lamps=0.03,
        ),
    ),
    lens=Lens(
        exposure=(0.95, 1.3),
        warmth=(0.97, 1.05),
        green=(0.99, 1.02),
        vignette=(0.0, 0.06),
        blur=(0.0, 0.5),
        chroma_blur=(0.0, 0.0),
        noise=(0.0, 0.010),
        saturation=(1.05, 1.2),
        contrast=(0.15, 0.35),
        lift=(0.0, 0.01),
    ),
)

_CAMERA = Style(
    layout=Layout(
        focal=(0.82, 1.0),
        horizon=(0.41, 0.54),
        sway=(0.34, 0.66),
        eye=(1.25, 1.6),
        driving_side=-1,
        half_road=(3.2, 4.6),
        pavement=(2.0, 3.6),
        storeys=(2.6, 6.4),
        frontage=(6.0, 14.0),
        gap_chance=0.16,
        garden_chance=0.25,
        hedge_share=0.3,
        railing_chance=0.3,
        junction_chance=0.3,
        tree_spacing=(14.0, 40.0),
        tree_height=(5.0, 10.0),
        bare=(0.05, 0.3),
        lamp_spacing=(10.0, 20.0),
        signs=(1.5, 4.5),
        parked=0.5,
        moving=(0.5, 2.5),
        crossing_cars=(0.0, 0.4),
        walkers=(4.0, 11.0),
        crossers=(0.2, 2.0),
        cyclists=(0.6, 2.2),
    ),
    materials=Materials(
        walls=(
            (156, 98, 74),
            (186, 166, 134),
            (136, 116, 100),
            (178, 172, 160),
            (166, 130, 92),
            (136, 90, 72),
            (206, 190, 152),
            (132, 132, 130),
        ),
        roofs=((84, 78, 76), (96, 70, 60), (72, 76, 82)),
        trims=((206, 200, 188), (176, 168, 156), (74, 70, 66)),
        roads=((100, 99, 100), (90, 89, 92), (110, 107, 104)),
        pavements=((158, 151, 141), (146, 141, 136), (168, 159, 146)),
        foliage=((76, 104, 46), (64, 92, 50), (98, 112, 54), (88, 94, 46)),
        bark=((84, 72, 62), (98, 86, 74)),
        cars=(
            (148, 150, 154),
            (52, 54, 58),
            (186, 188, 190),
            (52, 66, 92),
            (128, 48, 46),
            (96, 100, 104),
            (70, 82, 76),
        ),
        clothes=(
            (58, 60, 70),
            (96, 92, 90),
            (128, 62, 58),
            (66, 80, 108),
            (150, 144, 136),
            (84, 78, 62),
            (186, 184, 180),
        ),
        fences=((98, 86, 74), (64, 68, 68), (124, 118, 110), (82, 92, 84)),
        metal=((92, 94, 96), (72, 74, 74), (118, 118, 116)),
        tones=(0.8, 1.25),
        rough=(0.10, 0.22),
        dirt=(0.12, 0.32),
    ),
    weathers=(
        Weather(
            zenith=(164, 180, 200),
            low_sky=(206, 212, 218),
            cloud=(222, 224, 226),
            clouds=(0.4, 0.9),
            sun=(0.0, 0.12),
            sun_colour=(255, 250, 240),
            ambient=(0.75, 0.95),
            ambient_colour=(246, 250, 255),
            slant=(0.6, 1.2),
            haze=(0.0015, 0.005),
            lamps=0.06,
        ),
        Weather(
            zenith=(108, 148, 200),
            low_sky=(210, 216, 218),
            cloud=(236, 234, 228),
            clouds=(0.3, 0.7),
            sun=(0.5, 0.8),
            sun_colour=(255, 232, 198),
            ambient=(0.34, 0.46),
            ambient_colour=(214, 226, 250),
            slant=(0.8, 2.2),
            haze=(0.001, 0.004),
            lamps=0.03,
        ),
        Weather(
            zenith=(104, 122, 166),
            low_sky=(214, 186, 164),
            cloud=(196, 170, 160),
            clouds=(0.3, 0.8),
            sun=(0.0, 0.1),
            sun_colour=(255, 214, 170),
            ambient=(0.5, 0.7),
            ambient_colour=(226, 224, 246),
            slant=(1.5, 2.5),
            haze=(0.0015, 0.005),
            lamps=0.2,
        ),
    ),
    lens=Lens(
        exposure=(1.0, 1.6),
        warmth=(0.90, 1.13),
        green=(0.97, 1.04),
        vignette=(0.1, 0.35),
        blur=(0.4, 1.5),
        chroma_blur=(0.5, 1.0),
        noise=(0.010, 0.028),
        saturation=(0.75, 1.05),
        contrast=(0.0, 0.2),
        lift=(0.01, 0.05),
    ),
)

STYLES = MappingProxyType({"game": _GAME, "camera": _CAMERA})
"""Style of each name."""
