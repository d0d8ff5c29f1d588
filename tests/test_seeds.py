"""Seeds: equal parts, equal seed; anything else, another."""

from mixpref.seeds import derive


def test_seeds_are_the_same_on_every_machine() -> None:
    assert derive("sample", 0, "p", 3) == derive("sample", 0, "p", 3)
    assert 0 <= derive("x") < 2**63
    # A change here changes every run in the world.
    assert derive(0, "a") == 3663519230118652642


def test_parts_do_not_run_into_each_other() -> None:
    assert len({derive("a", "b"), derive("ab"), derive("a", "", "b"), derive(1), derive("1"), derive(1, 1)}) == 6
