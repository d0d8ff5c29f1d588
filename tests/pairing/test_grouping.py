from mixpref.records import Problem

PROBLEM = Problem(question="?", answer="12")


def samples(ones):
    return [one.response.sample for one in ones]


def test_each_response_is_counted_once_by_what_it_is_good_for(grouped, say):
    found = grouped(
        PROBLEM,
        say("12"),
        say("11"),
        "It is 12.",
        ("", "error"),
        (say("12") + " ", "length"),
        (say("1"), "length"),
        ("It is", "length"),
        say("12"),
        " \n",
        say("12.0"),
    )
    assert samples(found.right) == [0, 9]
    assert samples(found.wrong) == [1]
    assert samples(found.unparsed) == [2, 6]
    assert found.counts == {"right": 2, "wrong": 1, "unparsed": 2, "error": 1, "cut": 2, "duplicate": 1, "empty": 1}
    assert found.counts.total() == 10


def test_of_one_text_the_complete_response_is_kept(grouped, say):
    found = grouped(PROBLEM, (say("12"), "length"), say("12"))
    assert samples(found.right) == [1]
    found = grouped(PROBLEM, ("It is", "length"), "It is")
    assert samples(found.unparsed) == [1]
    assert found.unparsed[0].complete


def test_a_group_does_not_depend_on_the_order_of_arrival(grouped, judge, say):
    from mixpref.pairing.grouping import group

    judged = judge(PROBLEM, say("12"), say("11"), say("12"), "no", "no", say("10"))
    forward = group((each.response, each.verdict) for each in judged)
    backward = group((each.response, each.verdict) for each in reversed(judged))
    assert forward == backward
