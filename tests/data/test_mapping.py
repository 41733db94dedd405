import pytest

from autoadapt.config.settings import DatasetSettings
from autoadapt.data.mapping import OwnClasses, check_all_present, label_map, task_names
from autoadapt.errors import DataError

NAMES = ("car", "truck", "road", "rider")
OWN = OwnClasses(dict(enumerate(NAMES)), frozenset({200}), "classes.json")


def settings(merge: dict[str, str] | None = None, ignore: tuple[str, ...] = ()) -> DatasetSettings:
    return DatasetSettings(kind="folder", options={"root": "x"}, merge=merge or {}, ignore=ignore)


def test_own_classes_stay_as_they_are_without_merge_and_ignore() -> None:
    assert task_names(OWN, settings()) == NAMES


def test_merged_and_ignored_classes_disappear_from_the_task() -> None:
    chosen = settings({"car": "vehicle", "truck": "vehicle"}, ("rider",))
    assert task_names(OWN, chosen) == ("vehicle", "road")


def test_ids_follow_the_order_of_the_task_not_of_the_data_set() -> None:
    chosen = settings({"truck": "car"}, ("rider",))
    ids = label_map(OWN, ("sky", "road", "car"), chosen)
    # car 0 -> 2, truck 1 -> car 2, road 2 -> 1, rider 3 -> void, void 200 -> void
    assert ids.table[[0, 1, 2, 3, 200]].tolist() == [2, 2, 1, 255, 255]
    assert [raw for raw in range(256) if ids.known[raw]] == [0, 1, 2, 3, 200]


def test_a_class_without_a_place_in_the_task_names_both_sides_and_both_ways_out() -> None:
    with pytest.raises(DataError) as caught:
        label_map(OWN, ("car", "road", "bicycle"), settings({"truck": "car"}))
    message = str(caught.value)
    for part in ("classes.json", "'rider'", "'bicycle'", "merge: {rider: ", "ignore: [rider]"):
        assert part in message


@pytest.mark.parametrize("option", ["merge", "ignore"])
def test_a_misspelt_class_in_an_option_is_refused_with_a_suggestion(option: str) -> None:
    wrong = settings({"truk": "car"}) if option == "merge" else settings(None, ("truk",))
    with pytest.raises(DataError, match=rf"{option} names a class 'truk'.*did you mean 'truck'\?"):
        task_names(OWN, wrong)


def test_a_class_cannot_be_merged_and_ignored() -> None:
    with pytest.raises(DataError, match=r"\['truck'\] are in merge and in ignore"):
        task_names(OWN, settings({"truck": "car"}, ("truck",)))


def test_a_task_class_that_the_source_lacks_is_refused() -> None:
    with pytest.raises(DataError, match=r"classes \['sky'\].*remove them from data.classes"):
        check_all_present((*NAMES, "sky"), [label_map(OWN, (*NAMES, "sky"), settings())])


def test_a_task_class_that_arises_by_merging_is_there() -> None:
    merged = settings({"car": "vehicle"}, ("truck", "road", "rider"))
    check_all_present(("vehicle",), [label_map(OWN, ("vehicle",), merged)])


def test_one_of_several_sources_is_enough_for_a_class() -> None:
    sky = OwnClasses({7: "sky", 3: "car"}, frozenset({0}), "other/classes.json")
    classes = (*NAMES, "sky", "sea")
    maps = [label_map(own, classes, settings()) for own in (OWN, sky)]
    check_all_present((*NAMES, "sky"), maps)
    with pytest.raises(DataError, match=r"classes \['sea'\].*classes.json.*other/classes.json"):
        check_all_present(classes, maps)


STREET = OwnClasses({0: "void", 3: "road", 9: "parking", 11: "car"}, frozenset({0, 9, 255}), "x")


def test_an_id_that_is_void_unless_asked_for_is_a_class_where_it_is_asked_for() -> None:
    assert task_names(STREET, settings()) == ("road", "car")
    plain = label_map(STREET, ("road", "car"), settings()).table
    assert plain[[0, 3, 9, 11, 255]].tolist() == [255, 0, 255, 1, 255]
    merged = settings({"parking": "road"})
    assert task_names(STREET, merged) == ("road", "car")
    assert label_map(STREET, ("road", "car"), merged).table[9] == 0
    assert label_map(STREET, ("road", "car", "parking"), settings()).table[9] == 2


def test_declared_ids_are_told_in_runs() -> None:
    own = OwnClasses({i: str(i) for i in (0, 1, 2, 7, 8, 20)}, frozenset({5, 6, 255}), "x.json")
    assert own.describe() == "x.json declares ids 0..2, 7..8, 20 and void 5..6, 255"
