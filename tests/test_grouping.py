from initctl.grouping import grouped, shared_start


def test_values_of_one_key_are_together_in_the_order_of_the_pairs():
    assert list(grouped([("b", 1), ("a", 2), ("b", 3)]).items()) == [("b", [1, 3]), ("a", [2])]


def test_another_key_has_no_values():
    assert grouped([("a", 1)])["b"] == []


def test_sequences_share_the_items_that_all_of_them_begin_with():
    assert shared_start([["a", "b", "c"], ["a", "b"], ["a", "b", "d"]]) == 2
    assert shared_start([["a"], ["b", "a"]]) == 0
