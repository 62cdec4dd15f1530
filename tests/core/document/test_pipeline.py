"""Pipeline files: they survive loading and saving, and every mistake has its line and its words."""

import time

import pytest

from core.common import yaml
from core.common.errors import EspalierError
from core.document import pipeline as documents
from core.document.pipeline import PipelineError
from core.document.recipes import recipes

TEXT = """\
espalier: 1
name: Small
sources:
  - {id: network, settings: {backbone: resnet20}}
stages:
  - id: fp32
    kind: train
    settings:
      training:
        epochs: 2
        learning_rate: 5e-3
  - id: pruned
    kind: prune-channels
    settings:
      ratio: 0.5
      scope: block-internal
  - id: taught
    kind: distil
    from: pruned
    settings: {teacher: fp32}
"""


def found(text: str) -> list[tuple[int, str, str]]:
    """(line, place, message and advice) of every problem in a text."""
    with pytest.raises(PipelineError) as caught:
        documents.loads(text, "small.yaml")
    return [
        (problem.line, ".".join(map(str, problem.place)), f"{problem.message} {problem.advice}".strip())
        for problem in caught.value.problems
    ]


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.id)
def test_recipes_load_and_survive_saving(recipe):
    first = recipe.load()
    text = documents.dumps(first)
    assert documents.loads(text) == first
    assert documents.dumps(documents.loads(text)) == text


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.id)
def test_resolved_writes_everything_out_and_is_stable(recipe):
    resolved = recipe.load().resolved()
    assert resolved.resolved() == resolved
    assert documents.loads(documents.dumps(resolved)) == resolved
    for node in (*resolved.sources, *resolved.stages):
        assert node.settings.keys() == type(node.parameters).model_fields.keys()
    assert [n.parameters for n in resolved.stages] == [n.parameters for n in recipe.load().stages]


def test_the_small_document_says_what_it_means():
    pipeline = documents.loads(TEXT)
    assert pipeline.stage_ids == ("fp32", "pruned", "taught")
    assert [pipeline.parent(node) for node in pipeline.stages] == ["network", "fp32", "pruned"]
    assert pipeline.stage("fp32").parameters.training.learning_rate == 0.005
    assert (pipeline.baselines, pipeline.final_id, pipeline.axes.seed) == (("fp32",), "taught", (42,))
    assert pipeline.root(pipeline.stage("taught")).id == "network"


TWO_NETWORKS = """
  - id: wide
    kind: train
    from: other
  - id: wide-pruned
    kind: prune-channels
    settings: {ratio: 0.5, scope: block-internal}
  - id: again
    kind: train
    from: network
baseline: [fp32, wide]
"""


def two_networks(baseline: str = "[fp32, wide]") -> str:
    """The small document with a second network, and each compared with its own first stage."""
    network = "  - {id: network, settings: {backbone: resnet20}}"
    text = TEXT.replace(network, f"{network}\n  - {{id: other, settings: {{backbone: resnet56}}}}")
    return text + TWO_NETWORKS.strip("\n").replace("[fp32, wide]", baseline) + "\n"


def test_every_stage_is_compared_with_the_baseline_that_it_descends_from():
    pipeline = documents.loads(two_networks())
    assert pipeline.baselines == ("fp32", "wide")
    own = {"fp32": "fp32", "pruned": "fp32", "taught": "fp32", "wide": "wide", "wide-pruned": "wide"}
    assert pipeline.baseline_of_each() == {**own, "again": "fp32"}  # by its source: none is before it
    nearest = documents.loads(two_networks("[fp32, pruned, wide]"))
    assert nearest.baseline_of("taught") == "pruned" and nearest.baseline_of("pruned") == "pruned"
    one_only = documents.loads(two_networks("[fp32, pruned]"))
    assert one_only.baseline_of("wide-pruned") == "fp32"  # its network has none: the first
    assert set(documents.loads(two_networks("wide")).baseline_of_each().values()) == {"wide"}


def test_baselines_are_saved_as_they_were_written():
    for written, kept in (("[fp32, wide]", ["fp32", "wide"]), ("wide", "wide"), ("[wide]", "wide")):
        pipeline = documents.loads(two_networks(written))
        assert pipeline.as_dict()["baseline"] == kept
        assert pipeline.resolved().as_dict()["baseline"] == kept
        assert documents.loads(documents.dumps(pipeline)) == pipeline
    assert "baseline" not in documents.loads(TEXT).as_dict()
    assert documents.loads(TEXT).resolved().as_dict()["baseline"] == ""  # as run folders have it


def test_a_grid_may_stand_alone_or_in_a_list():
    one = "{stage: pruned, settings: {ratio: [0.1, 0.2]}}"
    other = "{stage: pruned, settings: {round_to: [1, 8]}, images: 50}"
    for written, count in ((one, 1), (f"[{one}]", 1), (f"[{one}, {other}]", 2), ("null", 0)):
        pipeline = documents.loads(f"{TEXT}axes: {{grid: {written}}}\n")
        assert len(pipeline.axes.grids) == count
        assert documents.loads(documents.dumps(pipeline)) == pipeline
        plain = pipeline.as_dict()["axes"]["grid"]
        assert isinstance(plain, {0: type(None), 1: dict, 2: list}[count])
        resolved = pipeline.resolved().as_dict()["axes"]["grid"]
        assert resolved == (plain if count == 0 else {**plain, "images": 2000} if count == 1 else [
            {**plain[0], "images": 2000}, plain[1],
        ])  # fmt: skip
    assert documents.loads(TEXT).resolved().as_dict()["axes"] == {"seed": [42], "grid": None}


def test_wrong_baselines_are_found_where_they_stand():
    line = two_networks().splitlines().index("baseline: [fp32, wide]") + 1
    choices = "Choose one of: again, fp32, pruned, taught, wide, wide-pruned."
    words = f"Expected the id of an active stage, received 'fp16'. {choices}"
    assert found(two_networks("[fp32, fp16]")) == [(line, "baseline.1", words)]
    twice = "The same baseline stands here twice. Leave one of them."
    assert found(two_networks("[fp32, fp32]")) == [(line, "baseline", twice)]
    assert found(two_networks("3")) == [(line, "baseline", "Expected a list, received 3.")]
    assert found(two_networks("[3]")) == [(line, "baseline.0", "Expected text, received 3.")]


def test_disabled_stages_are_passed_through():
    pipeline = documents.loads(
        TEXT.replace("    kind: prune-channels", "    enabled: false\n    kind: prune-channels")
    )
    assert [node.id for node in pipeline.active] == ["fp32", "taught"]
    assert pipeline.parent(pipeline.stage("taught")) == "fp32"


CASES = {
    "unknown key": (
        "ratio: 0.5", "ration: 0.5", 15, "stages.1.settings.ration",
        "Expected only known keys, received 'ration'. Check its spelling, or remove it.",
    ),
    "unknown key at the top": (
        "name: Small", "name: Small\nnmae: x", 3, "nmae",
        "Expected only known keys, received 'nmae'. Check its spelling, or remove it.",
    ),
    "text for a whole number": (
        "epochs: 2", "epochs: two", 10, "stages.0.settings.training.epochs",
        "Expected a whole number, received 'two'.",
    ),
    "a quoted number": (
        "ratio: 0.5", "ratio: '0.5'", 15, "stages.1.settings.ratio", "Expected a number, received '0.5'.",
    ),
    "a fraction for a whole number": (
        "epochs: 2", "epochs: 2.5", 10, "stages.0.settings.training.epochs",
        "Expected a whole number, received 2.5.",
    ),
    "a number for text": ("name: Small", "name: 7", 2, "name", "Expected text, received 7."),
    "text for a mapping": (
        "settings: {teacher: fp32}", "settings: fp32", 20, "stages.2.settings",
        "Expected a mapping, received 'fp32'.",
    ),
    "text for true or false": (
        "    from: pruned", "    from: pruned\n    enabled: no", 20, "stages.2.enabled",
        "Expected true or false, received 'no'.",
    ),
    "too small": (
        "epochs: 2", "epochs: -1", 10, "stages.0.settings.training.epochs",
        "Expected at least 0, received -1.",
    ),
    "too large": (
        "ratio: 0.5", "ratio: 1.0", 15, "stages.1.settings.ratio", "Expected less than 1.0, received 1.0.",
    ),
    "no choice": (
        "scope: block-internal", "scope: blocks", 16, "stages.1.settings.scope",
        "Expected 'block-internal', 'one-per-block' or 'whole-groups', received 'blocks'.",
    ),
    "duplicate key": (
        "ratio: 0.5", "ratio: 0.5\n      ratio: 0.6", 16, "stages.1.settings.ratio",
        "The key 'ratio' stands here twice. Remove one of the two.",
    ),
    "duplicate id": (
        "id: taught", "id: fp32", 17, "stages.2.id",
        "The id 'fp32' is used twice. Give every source and stage its own id.",
    ),
    "capital letters in an id": (
        "id: taught", "id: Taught", 17, "stages.2.id",
        "Expected small letters, digits and hyphens, received 'Taught'.",
    ),
    "unknown from": (
        "from: pruned", "from: prune", 19, "stages.2.from",
        "Expected the id of a source or of a stage further up, received 'prune'. "
        "Choose one of: fp32, network, pruned.",
    ),
    "from further down": (
        "    kind: train\n", "    kind: train\n    from: taught\n", 8, "stages.0.from",
        "Expected the id of a source or of a stage further up, received 'taught'. Choose one of: network.",
    ),
    "unknown teacher": (
        "teacher: fp32", "teacher: fp16", 20, "stages.2.settings.teacher",
        "Expected the id of an active stage further up, received 'fp16'. "
        "Choose one of: fp32, pruned; or give a checkpoint folder.",
    ),
    "no teacher": (
        "{teacher: fp32}", "{}", 20, "stages.2.settings.teacher",
        "Expected the key 'teacher', received none. Add it.",
    ),
    "unknown backbone": (
        "resnet20", "resnet21", 4, "sources.0.settings.backbone",
        "Expected a backbone, received 'resnet21'. The nearest are: resnet32, resnet20, resnet18.",
    ),
    "unknown baseline": (
        "name: Small", "name: Small\nbaseline: fp16", 3, "baseline",
        "Expected the id of an active stage, received 'fp16'. Choose one of: fp32, pruned, taught.",
    ),
    "newer format": (
        "espalier: 1", "espalier: 2", 1, "espalier",
        "Expected 'espalier: 1' (the format's version), received 2. "
        "A newer version of Espalier may have written this file.",
    ),
    "a tag": (
        "name: Small", "name: !!python/name:os.system x", 2, "name",
        "Expected plain data, received the tag tag:yaml.org,2002:python/name:os.system. Remove the tag.",
    ),
    "a number that is none": (
        "ratio: 0.5", "ratio: .nan", 15, "stages.1.settings.ratio", "Expected a finite number, received nan.",
    ),
    "a number without end": (
        "epochs: 2", "weight_decay: .inf", 10, "stages.0.settings.training.weight_decay",
        "Expected a finite number, received inf.",
    ),
    "a long text in place of a number": (
        "ratio: 0.5", "ratio: " + "x" * 1000, 15, "stages.1.settings.ratio",
        "Expected a number, received '" + "x" * 119 + "… (1002 characters).",
    ),
    "the same seed twice": (
        "name: Small", "name: Small\naxes: {seed: [1, 1]}", 3, "axes.seed",
        "The same seed stands here twice (received a list).",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_gives_its_line_and_words(case):
    old, new, line, place, words = CASES[case]
    assert old in TEXT
    assert found(TEXT.replace(old, new, 1)) == [(line, place, words)]


def test_an_unknown_stage_names_the_nearest_or_lists_those_there_are():
    [(line, place, words)] = found(TEXT.replace("kind: distil", "kind: distill"))
    assert (line, place) == (18, "stages.2.kind")
    assert words == "Expected a stage, received 'distill'. The nearest are: distil."
    [(_, _, words)] = found(TEXT.replace("kind: distil", "kind: zzz"))
    assert words.startswith("Expected a stage, received 'zzz'. Choose one of: train, train-mixed, ")


def test_all_mistakes_come_at_once_in_the_order_of_the_file():
    text = TEXT.replace("epochs: 2", "epochs: two").replace("ratio: 0.5", "ratio: 2")
    assert [line for line, _, _ in found(text)] == [10, 15]
    with pytest.raises(PipelineError) as caught:
        documents.loads(text, "small.yaml")
    assert str(caught.value) == (
        "small.yaml has 2 problems:\n"
        "  line 10, stages.0.settings.training.epochs: Expected a whole number, received 'two'.\n"
        "  line 15, stages.1.settings.ratio: Expected less than 1.0, received 2."
    )


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("", "an empty file"),
        ("just words\nand more", "a text that begins with 'just words'"),
        ("Dear all,\nnote: this: ends\n", "a text that begins with 'Dear all,'"),
        ("- a\n- b", "a list"),
        ("version: 3\nservices: {}\n", "a mapping with the keys version, services"),
    ],
)
def test_what_nobody_meant_as_a_pipeline_is_no_pipeline_with_a_problem(text, received, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PipelineError) as caught:
        documents.load(file)
    assert caught.value.message == (
        "notes.txt is not a pipeline file of Espalier. Expected YAML text that begins with 'espalier: 1' and "
        f"lists stages, received {received}."
    )
    assert "Choose a file that Espalier has saved" in caught.value.advice
    assert len(caught.value.problems) == 1


def test_bytes_are_no_pipeline_and_a_pipeline_in_another_encoding_is_one(tmp_path):
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(
        PipelineError, match=r"photo\.jpg is not a pipeline file .* received bytes that are no"
    ):
        documents.load(file)
    file.write_text(TEXT, encoding="utf-16")
    with pytest.raises(EspalierError, match="Save it in UTF-8"):
        documents.load(file)


@pytest.mark.parametrize("text", ["- espalier: 1", "name: Small\nstages: []\n"])
def test_what_may_be_meant_as_a_pipeline_is_told_what_is_wrong(text):
    [(line, _, words)] = found(text)
    assert line == 1 and words.startswith("Expected ") and "Espalier has saved" not in words


def test_broken_yaml_has_a_line():
    [(line, _, words)] = found("espalier: 1\nname: [1, 2\nstages: x\n")
    assert line == 3 and words.startswith("Expected YAML, received something else:")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-5", 5e-5), ("1.5e+3", 1500.0), ("-.5", -0.5), (".inf", float("inf")), ("12", 12), ("-3", -3),
        ("no", "no"), ("on", "on"), ("Yes", "Yes"), ("true", True), ("False", False), ("null", None),
        ("", None), ("1:30", "1:30"), ("0x1f", "0x1f"), ("1_000", "1_000"), ("2026-01-01", "2026-01-01"),
        ("'5'", "5"), ("<<", "<<"), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_are_read_by_yaml_1_2(text, value):
    parsed = yaml.parse(f"key: {text}\n")
    assert parsed.problems == []
    assert parsed.content["key"] == value and type(parsed.content["key"]) is type(value)


@pytest.mark.parametrize(
    "value",
    [5e-05, 1e300, -0.0, float("inf"), 3, True, None, "no", "5e-5", "12", "true", "null", "~", "", "a: b",
     "# x", "two\nlines\n", " spaced ", "1:30", "0x1f", "é · ≈", ".5", "-", "'"],
)  # fmt: skip
def test_what_is_dumped_is_read_back(value):
    content = {"key": value, "list": [value, {"inner": value}]}
    again = yaml.parse(yaml.dump(content))
    assert again.problems == [] and again.content == content
    assert type(again.content["key"]) is type(value)


def test_changes_make_new_documents():
    pipeline = documents.loads(TEXT)
    changed = pipeline.with_settings("pruned", {"ratio": 0.25})
    assert changed.stage("pruned").parameters.ratio == 0.25
    assert pipeline.stage("pruned").parameters.ratio == 0.5
    assert documents.loads(documents.dumps(changed)) == changed


def long_chain(stages):
    lines = (f"  - {{id: s{number}, kind: train}}\n" for number in range(stages))
    return "espalier: 1\nname: Long\nsources: [{id: network}]\nstages:\n" + "".join(lines)


def test_hundreds_of_stages_are_checked_in_seconds():
    before = time.monotonic()
    pipeline = documents.loads(long_chain(800))
    assert time.monotonic() - before < 10  # a second; it was minutes when every stage looked for all others
    assert len(pipeline.chain(pipeline.stages[-1])) == 799


def test_more_stages_than_anybody_runs_are_refused():
    [(_, place, words)] = found(long_chain(1001))
    assert (place, words) == ("stages", "Expected at most 1000 here, received 1001.")


def test_of_many_problems_the_first_are_shown():
    with pytest.raises(documents.PipelineError) as caught:
        documents.loads(long_chain(100).replace("kind: train", "kind: trian"))
    assert str(caught.value).count("\n") == 31 and str(caught.value).endswith("  and 70 more.")


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        (f"seed: [{', '.join(map(str, range(1001)))}]", "Expected at most 1000 here, received 1001."),
        (
            "grid: {stage: pruned, settings: {ratio: ["
            + ", ".join(["0.5"] * 40)
            + "], round_to: ["
            + ", ".join(["8"] * 40)
            + "]}}",
            "Expected a grid of at most 1000 points, received more",
        ),
    ],
)
def test_more_runs_than_anybody_waits_for_are_refused(axes, words):
    [(_, _, said)] = found(TEXT + f"axes: {{{axes}}}\n")
    assert said.startswith(words)
