import pytest

from autoadapt.config.settings import DatasetSettings
from autoadapt.data.mapping import OwnClasses, check_all_present, label_map, task_names
from autoadapt.errors import DataError

OWN = OwnClasses(("car", "truck", "road", "rider"), 200, "classes.json")


def settings(merge: dict[str, str] | None = None, ignore: tuple[str, ...] = ()) -> DatasetSettings:
    return DatasetSettings(kind="folder", root="x", merge=merge or {}, ignore=ignore)


def test_own_classes_stay_as_they_are_without_merge_and_ignore() -> None:
    assert task_names(OWN, settings()) == OWN.names


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
        check_all_present((*OWN.names, "sky"), [(OWN, settings())])


def test_a_task_class_that_arises_by_merging_is_there() -> None:
    check_all_present(("vehicle",), [(OWN, settings({"car": "vehicle"}))])


def test_one_of_several_sources_is_enough_for_a_class() -> None:
    sky = OwnClasses(("sky", "car"), 200, "other/classes.json")
    check_all_present((*OWN.names, "sky"), [(OWN, settings()), (sky, settings())])
    with pytest.raises(DataError, match=r"classes \['sea'\].*classes.json.*other/classes.json"):
        check_all_present(("sea", "sky"), [(OWN, settings()), (sky, settings())])
