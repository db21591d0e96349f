"""Fields of config.json as text, and what follows the number of labels."""

from __future__ import annotations

import pytest

from initctl.errors import UsageError
from initctl.formats.config import Setting
from initctl.reshaping.settings import changed_fields, settings_of, with_settings


def test_a_value_that_json_cannot_hold_is_refused():
    for value in (float("nan"), {1, 2}, b"x", "\ud800", {"\ud800": 1}):
        with pytest.raises(UsageError, match="cannot be written as JSON"):
            settings_of({"a": value})
    deep: object = 1
    for _ in range(10_000):
        deep = {"a": deep}
    with pytest.raises(UsageError, match=r"^set_config: a: is nested too deeply$"):
        settings_of({"a": deep})
    with pytest.raises(UsageError, match="is not the key of a field"):
        settings_of({"a..b": 1})


OLD = {"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "b": 1}, "vocab_size": 9}


def after(**settings: object) -> dict[str, object]:
    return with_settings(OLD, settings_of({key.replace("__", "."): value for key, value in settings.items()}))


def test_names_of_labels_follow_their_number():
    assert after(num_labels=3) == {
        "id2label": {"0": "a", "1": "b", "2": "LABEL_2"},
        "label2id": {"a": 0, "b": 1, "LABEL_2": 2},
        "vocab_size": 9,
        "num_labels": 3,
    }
    assert after(num_labels=1)["id2label"] == {"0": "a"}
    assert after(num_labels=1)["label2id"] == {"a": 0}


def test_names_of_labels_that_are_given_stay():
    names = {"0": "x", "1": "y", "2": "z"}
    found = after(num_labels=3, id2label=names)
    assert found["id2label"] == names
    assert found["label2id"] == {"x": 0, "y": 1, "z": 2}


def test_a_number_of_labels_may_come_with_the_object_that_holds_it():
    settings = settings_of({"text_config": {"id2label": {"0": "a"}}, "text_config.num_labels": 2})
    assert with_settings({}, settings)["text_config"]["id2label"] == {"0": "a", "1": "LABEL_1"}


def test_without_names_only_the_number_is_set():
    assert with_settings({}, [Setting(("num_labels",), 3)]) == {"num_labels": 3}


def test_inner_fields_are_made_and_a_way_through_a_number_is_refused():
    assert after(text_config__vocab_size=3)["text_config"] == {"vocab_size": 3}
    with pytest.raises(UsageError, match=r"vocab_size has no fields, so vocab_size\.x cannot be set"):
        after(vocab_size__x=3)


def test_only_what_differs_is_changed():
    assert list(changed_fields(OLD, after(num_labels=2))) == [Setting(("num_labels",), 2)]
    assert list(changed_fields(OLD, after(vocab_size=9))) == []
    assert list(changed_fields({"a": 1}, {"a": True})) == [Setting(("a",), True)]
    assert list(changed_fields(OLD, after(num_labels=3))) == [
        Setting(("id2label", "2"), "LABEL_2"), Setting(("label2id", "LABEL_2"), 2), Setting(("num_labels",), 3),
    ]  # fmt: skip


def test_far_too_many_labels_are_refused():
    with pytest.raises(UsageError, match="more than 1,000,000 labels cannot be named"):
        with_settings({"id2label": {"0": "a"}}, settings_of({"num_labels": 3_000_000_000}))
