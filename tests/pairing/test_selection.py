from collections import Counter
from itertools import product

from mixpref.pairing.selection import select
from mixpref.records import Problem


def every(judge, right, wrong):
    judged = judge(Problem(question="?", answer="1"), *(str(sample) for sample in range(right + wrong)))
    return [(*pair, "correctness") for pair in product(judged[:right], judged[right:])]


def used(taken):
    return Counter(one.response.sample for chosen, rejected, _ in taken for one in (chosen, rejected))


def test_all_are_taken_where_the_limit_allows_it(judge):
    candidates = every(judge, 3, 4)
    taken = select(candidates, 15, seed=0)
    assert len(taken) == 12
    assert all(pair in candidates for pair in taken)
    assert len({(a.response.sample, b.response.sample) for a, b, _ in taken}) == 12


def test_no_response_is_used_again_before_all_were_used(judge):
    for seed in range(20):
        assert set(used(select(every(judge, 5, 5), 5, seed)).values()) == {1}
        assert max(used(select(every(judge, 4, 4), 8, seed)).values()) <= 3
        rejected = Counter(rejected.response.sample for _, rejected, _ in select(every(judge, 2, 8), 8, seed))
        assert set(rejected.values()) == {1}


def test_the_seed_and_nothing_else_decides(judge):
    candidates = every(judge, 6, 6)
    assert select(candidates, 7, seed=1) == select(list(candidates), 7, seed=1)
    assert len({str(select(candidates, 7, seed=seed)) for seed in range(5)}) > 1


def test_nothing_is_made_of_nothing():
    assert select([], 15, seed=0) == []
