import pytest

from autoadapt.errors import SpaceError
from autoadapt.networks.values import ValueReader
from autoadapt.space.architecture import Value


def reader(**values: Value) -> ValueReader:
    return ValueReader("family", values)


def test_values_come_back_with_their_types() -> None:
    values = reader(kind="a", size=3, on=False, rates=(1, 2))

    assert values.one_of("kind", ("a", "b")) == "a"
    assert values.one_of("size", (3, 5)) == 3
    assert values.positive("size") == 3
    assert values.flag("on") is False
    assert values.positives("rates") == (1, 2)
    values.finish()


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", (1,)])
def test_a_positive_is_a_whole_number_above_zero(value: Value) -> None:
    with pytest.raises(SpaceError, match=r"family: 'size' is .*, expected a whole number above 0"):
        reader(size=value).positive("size")


@pytest.mark.parametrize("value", [(), (0,), (1, True), (1, 2.0), 3, "12"])
def test_positives_are_a_list_of_them(value: Value) -> None:
    with pytest.raises(SpaceError, match=r"'rates' is .*, expected a list of whole numbers"):
        reader(rates=value).positives("rates")


@pytest.mark.parametrize("value", [0, 1, "true"])
def test_a_flag_is_a_boolean(value: Value) -> None:
    with pytest.raises(SpaceError, match=r"'on' is .*, expected true or false"):
        reader(on=value).flag("on")


@pytest.mark.parametrize("value", [True, 1.0, "1", 2])
def test_an_option_equals_in_type_too(value: Value) -> None:
    with pytest.raises(SpaceError, match=r"'size' is .*, expected one of 1, 3"):
        reader(size=value).one_of("size", (1, 3))


def test_a_missing_key_is_named() -> None:
    with pytest.raises(SpaceError, match="family: the architecture lacks 'depth'; it has width"):
        reader(width=3).positive("depth")


def test_a_key_without_effect_is_refused_as_such() -> None:
    values = reader(kind="a", width=3)
    values.one_of("kind", ("a", "b"))
    values.inactive("width")

    with pytest.raises(SpaceError, match="'width' has no effect next to the other values"):
        values.finish()


def test_a_key_nobody_asked_for_is_refused_with_a_suggestion() -> None:
    values = reader(depth=1, detph=1)
    values.positive("depth")

    with pytest.raises(SpaceError, match=r"no choice 'detph', did you mean 'depth'\?"):
        values.finish()
