"""The camera, the depth buffer and the scene, against arithmetic done by hand."""

import dataclasses

import numpy as np
import pytest

from autoadapt.data.street import backdrop, describe, strips
from autoadapt.data.street.canvas import Canvas, Frame, Sprite, skin
from autoadapt.data.street.labels import CAR, FENCE, POLE, SIGN, SKY
from autoadapt.data.street.shade import house_shade
from autoadapt.data.street.styles import STYLES
from autoadapt.data.street.things import Car, Light, Scene
from autoadapt.data.street.view import View

GREY = (0.5, 0.5, 0.5)
WHITE = (1.0, 1.0, 1.0)
LIGHT = Light(WHITE, GREY, 1, 0.5, 1.0, 0.0, GREY, GREY, GREY, 0.0, 0.0, 0.0)
VIEW = View(focal=0.75, sway=0.5, horizon=0.5, eye=1.5, x=0.0)
FULL = Sprite(np.ones((4, 6), dtype=np.intp), np.ones((4, 6)))


def scene(style: str, index: int) -> Scene:
    """Return the scene behind an image."""
    return describe(style, 11, index)


def canvas() -> Canvas:
    """Return an empty canvas of 120 x 160: focal length 120 pixels."""
    blank = Canvas(VIEW.fit((120, 160)), LIGHT)
    blank.image[:] = 0
    return blank


def test_projection_by_hand() -> None:
    camera = VIEW.fit((120, 160))
    assert camera.focal == 0.75 * 160
    # 3 m to the right at 6 m: 80 + 120 * 3 / 6; the ground at 12 m: 60 + 120 * 1.5 / 12.
    assert camera.column(3.0, 6.0) == 140.0
    assert camera.row(0.0, 12.0) == 75.0
    # The centre of column 139 is half a pixel left of 140.
    assert camera.slopes()[139] * 120 == pytest.approx(59.5)
    assert camera.drops()[75] * 120 == pytest.approx(15.5)


def test_a_tall_image_keeps_the_height_in_view() -> None:
    # Wider than 4:3 the width sets the focal length, narrower the height does.
    assert VIEW.fit((96, 200)).focal == 0.75 * 200
    assert VIEW.fit((120, 90)).focal == 0.75 * 160


def test_a_frame_covers_the_pixels_it_should() -> None:
    board = canvas()
    board.facing(Frame(12.0, -1.0, 2.0, 0.0, 1.0), FULL, skin(WHITE, SIGN, GREY))
    strips.paint(board)
    # 10 pixels per metre at 12 m: columns 70 to 99, rows 65 to 74.
    expected = np.full((120, 160), SKY)
    expected[65:75, 70:100] = SIGN
    np.testing.assert_array_equal(board.label, expected)
    np.testing.assert_array_equal(board.image[0], np.where(expected == SIGN, 0.5, 0.0))
    assert board.depth[70, 80] == 12.0


@pytest.mark.parametrize("near_first", [True, False])
def test_the_nearer_frame_wins_in_any_order(near_first: bool) -> None:
    frames = [
        (Frame(6.0, -0.5, 0.5, 0.0, 1.0), CAR),
        (Frame(12.0, -2.0, 2.0, 0.0, 1.0), SIGN),
    ]
    board = canvas()
    for frame, label in frames if near_first else frames[::-1]:
        board.facing(frame, FULL, skin(WHITE, label, GREY))
    strips.paint(board)
    # Near: 20 pixels per metre, columns 70 to 89, rows 70 to 89; far: rows 65 to 74.
    assert (board.label == CAR).sum() == 20 * 20
    assert (board.label == SIGN).sum() == 40 * 10 - 20 * 5


def test_holes_show_what_is_behind() -> None:
    parts = np.array([[1, 0], [0, 2]], dtype=np.intp)
    board = canvas()
    board.facing(
        Frame(12.0, 0.0, 2.0, 0.0, 2.0),
        Sprite(parts, np.ones((2, 2))),
        skin(WHITE, SIGN, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
    )
    strips.paint(board)
    # Quadrants of 10 x 10 pixels from row 55, column 80: part 1, hole / hole, part 2.
    np.testing.assert_allclose(board.image[:, 55, 80], (0.1, 0.2, 0.3))
    assert board.label[55, 95] == board.label[70, 80] == SKY
    np.testing.assert_allclose(board.image[:, 74, 99], (0.4, 0.5, 0.6))


def test_mirroring_swaps_left_and_right() -> None:
    left_only = Sprite(np.array([[1, 0]], dtype=np.intp), np.ones((1, 2)))
    board = canvas()
    frame = Frame(12.0, -1.0, 1.0, 0.0, 1.0)
    board.facing(frame, left_only, skin(WHITE, SIGN, GREY), mirrored=True)
    strips.paint(board)
    columns = np.flatnonzero((board.label == SIGN).any(axis=0))
    assert (columns.min(), columns.max()) == (80, 89)


def test_a_post_never_vanishes() -> None:
    board = canvas()
    # 0.02 m at 40 m are 0.06 pixels.
    board.fill(Frame(40.0, 0.31, 0.33, 0.0, 4.0), skin(WHITE, POLE, GREY))
    strips.paint(board)
    assert (board.label == POLE).any(axis=0).sum() == 1


def test_a_fence_recedes_by_hand() -> None:
    board = canvas()
    look = skin(WHITE, FENCE, GREY)
    board.along(3.0, (6.0, 12.0), FULL, look, height=1.0, period=(6.0, 12.0))
    strips.paint(board)
    columns = np.flatnonzero((board.label == FENCE).any(axis=0))
    # At 12 m: 80 + 120 * 3 / 12 = 110; at 6 m: 140.
    assert (columns.min(), columns.max()) == (110, 139)
    # The ray of column 119 has a slope of 39.5 / 120: it meets the fence at 3 * 120 / 39.5 m,
    # where a metre is 39.5 / 3 pixels high.
    assert board.depth[60:, 119].min() == pytest.approx(3 * 120 / 39.5)
    assert abs((board.label[:, 119] == FENCE).sum() - 39.5 / 3) <= 1


def test_surfaces_that_cross_hide_each_other_in_part() -> None:
    board = canvas()
    board.along(3.0, (6.0, 12.0), FULL, skin(WHITE, FENCE, GREY), height=1.0, period=(6.0, 12.0))
    board.facing(Frame(8.0, 2.0, 4.0, 0.0, 1.0), FULL, skin(WHITE, SIGN, GREY))
    strips.paint(board)
    # 15 pixels per metre at 8 m: the board spans columns 110 to 139, rows 67.5 to 82.5 (from row
    # 67 or 68), and the fence, which column 125 meets at 8 m, is behind it left of that.
    expected = np.where(np.arange(110, 140) < 125, SIGN, FENCE)
    np.testing.assert_array_equal(board.label[75, 110:140], expected)
    assert (board.depth[75, 110:125] == 8.0).all()
    assert board.depth[75, 139] == pytest.approx(3 * 120 / 59.5)


def test_of_two_at_one_depth_the_later_is_in_front() -> None:
    board = canvas()
    for label in (POLE, SIGN):
        board.facing(Frame(12.0, -1.0, 1.0, 0.0, 1.0), FULL, skin(WHITE, label, GREY))
    strips.paint(board)
    assert (board.label == SIGN).sum() == 20 * 10
    assert not (board.label == POLE).any()


def test_notes_are_painted_once_and_only_in_front_of_what_is_there() -> None:
    board = canvas()
    board.depth[:, :80] = 5.0
    board.facing(Frame(12.0, -1.0, 1.0, 0.0, 1.0), FULL, skin(WHITE, SIGN, GREY))
    strips.paint(board)
    assert (board.label == SIGN).sum() == 10 * 10
    board.label[:] = SKY
    board.depth[:] = 1e6
    strips.paint(board)
    assert (board.label == SKY).all()


def test_ground_inside_ellipses_by_hand() -> None:
    board = canvas()
    depth = 1.5 / board.drops[61:, None]
    ground = backdrop._Ground(61, board.slopes * depth, depth, depth / 120)
    ellipses: list[tuple[float, ...]] = [(1.0, 12.0, 2.0, 3.0), (0.0, 6.0, 0.5, 1.0)]
    both, none = backdrop._ellipses(board, ground, (ellipses, []))
    expected = np.zeros_like(both)
    for x, away, half_x, half_depth in ellipses:
        dx, dz = (ground.x - x) / half_x, (depth - away) / half_depth
        expected |= dx * dx + dz * dz < 1
    assert expected.sum() > 100
    np.testing.assert_array_equal(both, expected)
    assert not none.any()


def test_shade_of_a_house_by_hand() -> None:
    house = scene("game", 0).houses[0]
    house = dataclasses.replace(house, side=1, x=8.0, start=10.0, end=20.0, height=6.0)
    shade = house_shade((house,), dataclasses.replace(LIGHT, side=1, slant=0.5))
    # The sun stands on the right; the shade starts at 8 - 6 * 0.5 = 5 m and only beside the house.
    x, depth = np.array([4.9, 5.1, 5.1, 5.1]), np.array([15.0, 15.0, 9.0, 21.0])
    assert shade.lit(x, depth).tolist() == [True, False, True, True]


def test_the_statistics_of_the_styles_differ() -> None:
    scenes = {style: [scene(style, index) for index in range(60)] for style in STYLES}

    def mean(style: str, kind: str) -> float:
        measures: dict[str, list[float]] = {
            "kerb": [one.street.kerb for one in scenes[style]],
            "houses": [house.height for one in scenes[style] for house in one.houses],
            "cars": [sum(isinstance(p, Car) for p in one.props) for one in scenes[style]],
            "eye": [one.view.eye for one in scenes[style]],
            "yaw": [abs(one.view.sway - 0.5) for one in scenes[style]],
            "sun": [max(one.light.sun) for one in scenes[style]],
        }
        return float(np.mean(measures[kind]))

    for kind in ("kerb", "eye", "sun"):
        assert mean("game", kind) > 1.15 * mean("camera", kind)
    for kind in ("houses", "cars", "yaw"):
        assert mean("camera", kind) > 1.3 * mean("game", kind)
    assert all(one.street.driving_side == 1 for one in scenes["game"])
    assert all(one.street.driving_side == -1 for one in scenes["camera"])


@pytest.mark.parametrize("style", list(STYLES))
def test_cars_do_not_overlap(style: str) -> None:
    for index in range(40):
        cars = [p.footprint() for p in scene(style, index).props if isinstance(p, Car)]
        for number, car in enumerate(cars):
            for other in cars[:number]:
                apart_x = abs(car.x - other.x) - car.half_x - other.half_x
                apart_depth = abs(car.depth - other.depth) - car.half_depth - other.half_depth
                assert max(apart_x, apart_depth) > 0
