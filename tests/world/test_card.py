from mixpref.world import card


def test_the_card_tells_the_mixture_and_the_result(tmp_path, monkeypatch):
    result = card.Result(n=600, direct=0.4, cot=0.2, pass_1=0.25, pass_8=0.75, families={"chart": (0.5, 0.3)})
    monkeypatch.setattr(card, "measure", lambda folder: result)
    first = card.Pass(steps=4000, pictures=256, learning_rate=2e-3, seed=0, minutes=8.2, machine="H100")
    second = card.Pass(
        steps=10, pictures=32, learning_rate=5e-4, seed=1, minutes=1.5, machine="2 CPU cores", remark="Bills."
    )
    card.write_card(tmp_path, 4_051_968, [first, second])
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "4.1 M parameters" in text
    assert "56 % glance and guess" in text
    assert "| chart | 50.0 | 30.0 |" in text
    assert "pass@1 25.0, pass@8 75.0" in text
    assert "1,024,320 pictures" in text
    assert "1. 4,000 steps of 256 pictures, rate 0.002, seed 0: 8 minutes on H100.\n" in text
    assert "2. 10 steps of 32 pictures, rate 0.0005, seed 1: 2 minutes on 2 CPU cores. Bills.\n" in text
    assert card.read_passes(tmp_path) == [first, second]
