from mixpref.pairing.formatting import candidates
from mixpref.records import Problem


def test_right_responses_are_paired_with_unparsed_ones(grouped, say):
    # A question answered "No" gets its format pairs, too.
    problem = Problem(question="?", answer="No")
    found = grouped(problem, say("No"), "It is not.", ("It may", "length"), say("Yes"), ("", "error"), "")
    kept = candidates(found)
    assert [(right.response.sample, worse.response.sample) for right, worse in kept] == [(0, 1), (0, 2)]
    assert [worse.complete for _, worse in kept] == [True, False]
