"""What stands where in one street, drawn from the statistics of a style; no pixels here."""

from autoadapt.data.street.dice import Dice
from autoadapt.data.street.style import Colour, Layout, Materials, Style, Weather
from autoadapt.data.street.things import (
    END,
    STOREY,
    Car,
    Cyclist,
    Fence,
    House,
    Lamp,
    Light,
    Mover,
    Prop,
    Scene,
    Sign,
    Street,
    Tree,
    Walker,
    linear,
)
from autoadapt.data.street.view import NEAREST, View

FAR = 44.0
"""Depth beyond which props are too small to matter."""

SKINS: tuple[Colour, ...] = ((236, 188, 152), (198, 146, 108), (142, 96, 70), (96, 66, 50))
HAIRS: tuple[Colour, ...] = ((60, 44, 34), (34, 30, 30), (150, 112, 66), (120, 116, 112))
SIGNS = ("stop", "limit", "warning", "blue", "arrow", "light", "light", "direction")


def draw_scene(style: Style, dice: Dice) -> Scene:
    """Draw one scene of a style."""
    layout, materials = style.layout, style.materials
    street = _street(layout, materials, dice)
    lane = street.driving_side * street.kerb * dice.between((0.25, 0.55))
    view = View(
        focal=dice.between(layout.focal),
        sway=dice.between(layout.sway),
        horizon=dice.between(layout.horizon),
        eye=dice.between(layout.eye),
        x=lane,
    )
    light = _light(dice.pick(style.weathers), dice)
    houses: list[House] = []
    props: list[Prop] = []
    for side in (-1, 1):
        row, borders = _houses(side, street, style, dice)
        houses += row
        props += borders
        props += _furniture(side, street, style, dice)
        props += _parked(side, street, style, dice)
    cars = [prop for prop in props if isinstance(prop, Car)]
    moving = _clear_of(cars, _traffic(street, style, dice))
    props += moving
    props += _clear_of(cars + moving, _people(street, style, dice))
    return Scene(view, light, street, tuple(houses), tuple(props))


def _clear_of(cars: list[Car], props: list[Mover]) -> list[Mover]:
    """Return the props that stand inside no car and, being cars, in none of their own."""
    taken = [car.footprint() for car in cars]
    clear: list[Mover] = []
    for prop in props:
        place = prop.footprint()
        if place.touches(taken):
            continue
        clear.append(prop)
        if isinstance(prop, Car):
            taken.append(place)
    return clear


def _light(weather: Weather, dice: Dice) -> Light:
    return Light(
        ambient=linear(weather.ambient_colour, dice.between(weather.ambient)),
        sun=linear(weather.sun_colour, dice.between(weather.sun)),
        side=dice.sign(),
        front=dice.between((0.1, 0.8)),
        slant=dice.between(weather.slant),
        haze=dice.between(weather.haze),
        zenith=linear(weather.zenith),
        low_sky=linear(weather.low_sky),
        cloud=linear(weather.cloud),
        clouds=dice.between(weather.clouds),
        drift=dice.between((0.0, 128.0)),
        lamps=weather.lamps,
    )


def _street(layout: Layout, materials: Materials, dice: Dice) -> Street:
    kerb = dice.between(layout.half_road)
    start = dice.between((12.0, 40.0))
    length = dice.between((6.0, 10.0)) if dice.chance(layout.junction_chance) else 0.0
    return Street(
        kerb=kerb,
        pavement=dice.between(layout.pavement),
        junction=(start, start + length),
        driving_side=layout.driving_side,
        road=linear(dice.pick(materials.roads), dice.between(materials.tones)),
        paving=linear(dice.pick(materials.pavements), dice.between(materials.tones)),
        wear=dice.between(materials.dirt) * 1.5,
        phase=dice.between((0.0, 8.0)),
        edge_line=dice.chance(0.6),
        rough=dice.between(materials.rough),
        dirt=dice.between(materials.dirt),
    )


def _houses(side: int, street: Street, style: Style, dice: Dice) -> tuple[list[House], list[Prop]]:
    """Return the buildings of one side from behind the camera to the end, and their borders."""
    layout = style.layout
    houses: list[House] = []
    borders: list[Prop] = []
    line = street.kerb + street.pavement
    place = dice.between((-6.0, 2.0))
    while place < END:
        end = place + dice.between(layout.frontage)
        if street.junction[0] - 1 < end and place < street.junction[1] + 1 and _crossed(street):
            if street.junction[0] - 1 - place > 4:
                end = street.junction[0] - 1
            else:
                place = street.junction[1] + 1.5
                continue
        garden = dice.between((2.0, 5.0)) if dice.chance(layout.garden_chance) else 0.0
        if end > NEAREST:
            houses.append(_house(side, line + garden, (place, end), style, dice))
        gap = dice.between((2.0, 9.0)) if dice.chance(layout.gap_chance) else 0.0
        if (garden > 0 or gap > 3) and end + gap > NEAREST and place < FAR:
            borders.append(_border(side * line, (place, end + gap), style, dice))
            borders += _garden_trees(side * (line + 1.6), (place, end + gap), style, dice)
        place = end + gap
    return houses, borders


def _crossed(street: Street) -> bool:
    return street.junction[1] > street.junction[0]


def _house(side: int, front: float, extent: tuple[float, float], style: Style, dice: Dice) -> House:
    materials = style.materials
    storeys = max(1, int(dice.between(style.layout.storeys) + 0.5))
    gain = dice.between(materials.tones)
    return House(
        side=side,
        x=side * front,
        start=extent[0],
        end=extent[1],
        height=storeys * STOREY + dice.between((0.3, 1.0)),
        roof=dice.between((1.2, 2.8)) if dice.chance(0.55) else 0.0,
        bay=dice.between((1.7, 3.2)),
        glazing=dice.between((0.42, 0.66)),
        shop=dice.chance(0.35),
        wall=linear(dice.pick(materials.walls), gain),
        trim=linear(dice.pick(materials.trims), gain),
        tiles=linear(dice.pick(materials.roofs), gain),
    )


def _border(x: float, extent: tuple[float, float], style: Style, dice: Dice) -> Fence:
    hedge = dice.chance(style.layout.hedge_share)
    materials = style.materials
    colours = materials.foliage if hedge else materials.fences
    return Fence(
        x=x,
        start=extent[0],
        end=extent[1] - 0.3,
        height=dice.between((0.9, 1.7)),
        kind="hedge" if hedge else dice.pick(("boards", "boards", "railing")),
        colour=linear(dice.pick(colours), dice.between(materials.tones)),
    )


def _garden_trees(x: float, extent: tuple[float, float], style: Style, dice: Dice) -> list[Prop]:
    low, high = max(extent[0], 4.0), min(extent[1], FAR)
    count = dice.count((0.0, 1.4)) if high > low else 0
    return [_tree(x, dice.between((low, high)), style, dice) for _ in range(count)]


def _tree(x: float, depth: float, style: Style, dice: Dice) -> Tree:
    height = dice.between(style.layout.tree_height)
    pointed = dice.chance(0.2)
    return Tree(
        x=x,
        depth=depth,
        height=height,
        radius=height * (0.2 if pointed else dice.between((0.26, 0.36))),
        pointed=pointed,
        bare=dice.between(style.layout.bare),
        leaf=linear(dice.pick(style.materials.foliage), dice.between(style.materials.tones)),
        bark=linear(dice.pick(style.materials.bark)),
        variant=int(dice.unit() * 64),
    )


def _furniture(side: int, street: Street, style: Style, dice: Dice) -> list[Prop]:
    """Return the trees, lamp posts, signs and kerb railing of one side."""
    layout, materials = style.layout, style.materials
    props: list[Prop] = []
    place = dice.between((3.0, 12.0))
    while place < FAR:
        if not _in_junction(street, place):
            props.append(_tree(side * (street.kerb + 0.9), place, style, dice))
        place += dice.between(layout.tree_spacing)
    place = dice.between((5.0, 14.0))
    while place < FAR:
        metal = linear(dice.pick(materials.metal))
        height, reach = dice.between((5.0, 8.0)), -side * dice.between((0.0, 2.2))
        props.append(Lamp(side * (street.kerb + 0.35), place, height, reach, metal))
        place += dice.between(layout.lamp_spacing)
    for _ in range(dice.count((layout.signs[0] / 2, layout.signs[1] / 2))):
        depth, height = dice.near((5.0, 32.0)), dice.between((2.3, 3.2))
        metal, kind = linear(dice.pick(materials.metal)), dice.pick(SIGNS)
        props.append(Sign(side * (street.kerb + 0.5), depth, height, kind, metal))
    if dice.chance(layout.railing_chance):
        start = dice.near((4.0, 20.0))
        kind, colour = dice.pick(("railing", "guard")), linear(dice.pick(materials.metal))
        end = start + dice.between((6.0, 18.0))
        props.append(Fence(side * (street.kerb + 0.2), start, end, 1.05, kind, colour))
    return props


def _in_junction(street: Street, depth: float) -> bool:
    return street.junction[0] - 1 < depth < street.junction[1] + 1


def _car(x: float, depth: float, heading: int, style: Style, dice: Dice) -> Car:
    boxy = dice.chance(0.2)
    return Car(
        x=x,
        depth=depth,
        length=dice.between((4.6, 5.6) if boxy else (3.9, 4.7)),
        width=dice.between((1.85, 2.05) if boxy else (1.65, 1.85)),
        height=dice.between((1.9, 2.4) if boxy else (1.38, 1.55)),
        heading=heading,
        boxy=boxy,
        paint=linear(dice.pick(style.materials.cars), dice.between(style.materials.tones)),
        lit=dice.chance(0.15),
    )


def _parked(side: int, street: Street, style: Style, dice: Dice) -> list[Prop]:
    props: list[Prop] = []
    heading = 1 if side == street.driving_side else -1
    place = dice.between((2.0, 8.0))
    while place < FAR:
        if dice.chance(style.layout.parked) and not _in_junction(street, place + 2):
            props.append(_car(side * (street.kerb - 1.05), place, heading, style, dice))
        place += dice.between((5.6, 7.2))
    return props


def _traffic(street: Street, style: Style, dice: Dice) -> list[Car]:
    """Return the cars that drive, ahead and towards the camera, and those that cross."""
    props: list[Car] = []
    for _ in range(dice.count(style.layout.moving)):
        heading = dice.sign()
        lane = heading * street.driving_side * street.kerb * dice.between((0.28, 0.5))
        props.append(_car(lane, dice.near((8.0, FAR)), heading, style, dice))
    if _crossed(street):
        middle = 0.5 * (street.junction[0] + street.junction[1])
        for _ in range(dice.count(style.layout.crossing_cars) + dice.count((0.0, 1.0))):
            x = dice.between((-9.0, 9.0))
            props.append(_car(x, middle + dice.sign() * 1.7, 0, style, dice))
    return props


def _people(street: Street, style: Style, dice: Dice) -> list[Walker | Cyclist]:
    layout = style.layout
    props: list[Walker | Cyclist] = []
    for _ in range(dice.count(layout.walkers)):
        x = dice.sign() * (street.kerb + dice.between((0.5, street.pavement - 0.3)))
        props.append(_walker(x, dice.near((4.5, 36.0)), style, dice))
    for _ in range(dice.count(layout.crossers)):
        x = dice.between((-street.kerb, street.kerb))
        props.append(_walker(x, dice.near((7.0, 32.0)), style, dice))
    for _ in range(dice.count(layout.cyclists)):
        x = dice.sign() * street.kerb * dice.between((0.35, 0.72))
        props.append(_cyclist(x, dice.near((5.5, 26.0)), style, dice))
    return props


def _walker(x: float, depth: float, style: Style, dice: Dice) -> Walker:
    clothes = style.materials.clothes
    return Walker(
        x=x,
        depth=depth,
        height=dice.between((1.5, 1.9)),
        turn=dice.unit(),
        stride=dice.between((-0.3, 0.3)),
        skin=linear(dice.pick(SKINS)),
        hair=linear(dice.pick(HAIRS)),
        top=linear(dice.pick(clothes)),
        trousers=linear(dice.pick(clothes), 0.6),
    )


def _cyclist(x: float, depth: float, style: Style, dice: Dice) -> Cyclist:
    clothes = style.materials.clothes
    return Cyclist(
        x=x,
        depth=depth,
        height=dice.between((1.65, 1.9)),
        turn=dice.sign() * dice.between((0.1, 1.0)),
        skin=linear(dice.pick(SKINS)),
        helmet=linear(dice.pick(clothes)),
        top=linear(dice.pick(clothes)),
        trousers=linear(dice.pick(clothes), 0.6),
        frame=linear(dice.pick(style.materials.cars)),
    )
