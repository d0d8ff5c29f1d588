from mixpref.world import card


def test_the_card_tells_the_mixture_and_the_result(tmp_path, monkeypatch):
    result = card.Result(n=600, direct=0.4, cot=0.2, pass_1=0.25, pass_8=0.75, families={"chart": (0.5, 0.3)})
    monkeypatch.setattr(card, "measure", lambda folder: result)
    card.write_card(tmp_path, parameters=4_051_968, steps=10, pictures=32, seed=0, minutes=1.5, machine="2 CPU cores")
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "4.1 M parameters" in text
    assert "56 % glance and guess" in text
    assert "| chart | 50.0 | 30.0 |" in text
    assert "pass@1 25.0, pass@8 75.0" in text
