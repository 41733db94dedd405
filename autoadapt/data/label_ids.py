"""The ids that the data sets of the field write into their label files, by name."""

from collections.abc import Mapping

from autoadapt.data.classes import CITYSCAPES19, Colour

CITYSCAPES_IDS: Mapping[int, str] = dict(
    enumerate(
        (
            "unlabeled",
            "ego vehicle",
            "rectification border",
            "out of roi",
            "static",
            "dynamic",
            "ground",
            "road",
            "sidewalk",
            "parking",
            "rail track",
            "building",
            "wall",
            "fence",
            "guard rail",
            "bridge",
            "tunnel",
            "pole",
            "polegroup",
            "traffic light",
            "traffic sign",
            "vegetation",
            "terrain",
            "sky",
            "person",
            "rider",
            "car",
            "truck",
            "bus",
            "caravan",
            "trailer",
            "train",
            "motorcycle",
            "bicycle",
            "license plate",
        )
    )
)
"""Label ids of Cityscapes and GTA5. The last is -1 for Cityscapes, which 8 bits store as 255."""

OTHER_CITYSCAPES_COLOURS: Mapping[Colour, int] = {
    (0, 0, 0): 0,
    (20, 20, 20): 4,
    (111, 74, 0): 5,
    (81, 0, 81): 6,
    (250, 170, 160): 9,
    (230, 150, 140): 10,
    (180, 165, 180): 14,
    (150, 100, 100): 15,
    (150, 120, 90): 16,
    (0, 0, 90): 29,
    (0, 0, 110): 30,
}
"""Colours of label ids that are not evaluated. A licence plate has the colour of a car, a group
of poles that of a pole."""


def cityscapes_colours() -> dict[Colour, int]:
    """Return the label id of each colour of a coloured Cityscapes or GTA5 label."""
    ids = {name: raw for raw, name in CITYSCAPES_IDS.items()}
    evaluated = zip(CITYSCAPES19.palette, CITYSCAPES19.names, strict=True)
    return {colour: ids[name] for colour, name in evaluated} | dict(OTHER_CITYSCAPES_COLOURS)


SYNTHIA_IDS: Mapping[str, int] = {
    "road": 3,
    "sidewalk": 4,
    "building": 2,
    "wall": 21,
    "fence": 5,
    "pole": 7,
    "traffic light": 15,
    "traffic sign": 9,
    "vegetation": 6,
    "terrain": 16,
    "sky": 1,
    "person": 10,
    "rider": 17,
    "car": 8,
    "truck": 18,
    "bus": 19,
    "train": 20,
    "motorcycle": 12,
    "bicycle": 11,
    "void": 0,
    "parking slot": 13,
    "road work": 14,
    "lane marking": 22,
}
"""Ids of SYNTHIA-RAND-CITYSCAPES, in the order of Cityscapes; its pedestrian is a person."""

CAMVID32: Mapping[str, tuple[Colour, str | None]] = {
    "Animal": ((64, 128, 64), "pedestrian"),
    "Archway": ((192, 0, 128), "building"),
    "Bicyclist": ((0, 128, 192), "bicyclist"),
    "Bridge": ((0, 128, 64), "building"),
    "Building": ((128, 0, 0), "building"),
    "Car": ((64, 0, 128), "car"),
    "CartLuggagePram": ((64, 0, 192), "pedestrian"),
    "Child": ((192, 128, 64), "pedestrian"),
    "Column_Pole": ((192, 192, 128), "pole"),
    "Fence": ((64, 64, 128), "fence"),
    "LaneMkgsDriv": ((128, 0, 192), "road"),
    "LaneMkgsNonDriv": ((192, 0, 64), "road"),
    "Misc_Text": ((128, 128, 64), "sign"),
    "MotorcycleScooter": ((192, 0, 192), "bicyclist"),
    "OtherMoving": ((128, 64, 64), "car"),
    "ParkingBlock": ((64, 192, 128), "pavement"),
    "Pedestrian": ((64, 64, 0), "pedestrian"),
    "Road": ((128, 64, 128), "road"),
    "RoadShoulder": ((128, 128, 192), "pavement"),
    "Sidewalk": ((0, 0, 192), "pavement"),
    "SignSymbol": ((192, 128, 128), "sign"),
    "Sky": ((128, 128, 128), "sky"),
    "SUVPickupTruck": ((64, 128, 192), "car"),
    "TrafficCone": ((0, 0, 64), "pole"),
    "TrafficLight": ((0, 64, 64), "sign"),
    "Train": ((192, 64, 128), "car"),
    "Tree": ((128, 128, 0), "tree"),
    "Truck_Bus": ((192, 128, 192), "car"),
    "Tunnel": ((64, 0, 64), "building"),
    "VegetationMisc": ((192, 192, 0), "tree"),
    "Void": ((0, 0, 0), None),
    "Wall": ((64, 192, 0), "building"),
}
"""CamVid's 32 classes: colour, and the class among the 11 that they are usually grouped into."""
