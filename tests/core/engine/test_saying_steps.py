"""What a job says of its steps: at most every two seconds, a sentence once; how far it is, always."""

from core.engine.stage_runner import _saying_steps


def test_steps_are_said_now_and_then_and_fractions_always() -> None:
    now, said, fractions = [0.0], list[str](), list[float]()
    progress = _saying_steps(said.append, fractions.append, lambda: now[0])
    for second, step in ((0, 1), (1, 2), (1.9, 2), (2.5, 3), (6, 3), (7, 4)):
        now[0] = second
        progress(step / 4, f"layer {step} of 4")
    assert said == ["layer 1 of 4", "layer 3 of 4", "layer 4 of 4"]
    assert fractions == [0.25, 0.5, 0.5, 0.75, 0.75, 1.0]
