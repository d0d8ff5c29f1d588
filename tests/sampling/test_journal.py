from mixpref.records import Response
from mixpref.sampling import journal as module
from mixpref.sampling.journal import Journal


def said(text, sample=0):
    return Response(
        problem_id="p", sample=sample, text=text, tokens=3, finish="stop", seed=2**62, style="en", sampler="s",
        logprob=-0.1,
    )  # fmt: skip


ODD = 'naïve \u2028 \x00 "quoted"\n答案 🙂'


def test_what_was_added_is_read_again(tmp_path):
    with Journal(tmp_path / "j") as journal:
        journal.begin({})
        journal.add("00001", 4, (said(ODD), said("b", 1)), {})
        journal.add("00002", 0, (said("c"),), {})
    assert Journal(tmp_path / "j").read() == {
        "00001": {4: (said(ODD), said("b", 1))},
        "00002": {0: (said("c"),)},
    }
    assert set(Journal(tmp_path / "j").read(done=["00001"])) == {"00002"}


def test_torn_at_any_byte_the_lines_before_are_read(tmp_path):
    with Journal(tmp_path / "j") as journal:
        journal.begin({})
        for place in range(3):
            journal.add("00000", place, (said(ODD),), {})
    whole = (tmp_path / "j").read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        (tmp_path / "j").write_bytes(whole[:cut])
        found = Journal(tmp_path / "j").read()
        assert found.get("00000", {}) == {place: (said(ODD),) for place in range(sum(end <= cut for end in ends))}


def test_lines_of_finished_units_are_swept_out(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SWEEP", 1000)
    with Journal(tmp_path / "j") as journal:
        journal.begin({})
        for number in range(100):
            key = f"{number:05d}"
            journal.add(key, 0, (said("x"),), {key: {0: (said("x"),)}})
    assert (tmp_path / "j").stat().st_size < 2000
    assert Journal(tmp_path / "j").read()["00099"] == {0: (said("x"),)}


def test_nothing_there_is_nothing_known(tmp_path):
    journal = Journal(tmp_path / "j")
    assert journal.read() == {}
    journal.remove()
