"""What a result was made with, and how two such records differ."""

from oneshot.base.provenance import differences, environment, fingerprint


def test_differences_name_the_place_and_both_values():
    there = {"recipe": {"epochs": 2, "seed": 0}, "space": "a", "same": [1]}
    asked = {"recipe": {"epochs": 3, "seed": 0}, "same": [1], "new": True}
    words = list(differences(there, asked))
    assert len(words) == 3
    assert [text.split()[0].rstrip(":") for text in words] == ["new", "recipe.epochs", "space"]
    assert "2" in words[1]
    assert "3" in words[1]
    assert not list(differences(there, there))


def test_a_fingerprint_knows_no_order_of_keys():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})


def test_the_environment_names_what_runs():
    assert {"oneshot", "python", "torch", "commit"} <= environment().keys()
