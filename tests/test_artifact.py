"""An artifact is what its manifest says, or it is refused in one line that says why."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from serving_kit import CATALOGUE, ENCODER, RULES, SCHEMA, graph_bytes, kit_network, network_bytes, write_kit

from agents import onnx_file
from agents.artifact import check_compatible, load_policy, price_check, rules_policy, write_artifact
from agents.manifest import policy_digest
from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.prices import Prices
from envs.rules import RuleBook

FIELDS, TREATMENTS = len(ENCODER.fields), len(CATALOGUE.treatment_ids)


@pytest.fixture
def artifact(tmp_path):
    write_kit(tmp_path / "policy")
    return tmp_path / "policy"


def fault(path):
    with pytest.raises(InputError) as caught:
        load_policy(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit(artifact, reseal=True, **fields):
    file = artifact / "manifest.json"
    content = json.loads(file.read_text()) | fields
    if reseal:
        content["policy_digest"] = policy_digest(content)
    file.write_text(json.dumps(content))


def inputs(rows, seed=0):
    rng = np.random.default_rng(seed)
    mask = rng.random((rows, TREATMENTS)) < 0.5
    mask[:, 0] = True
    return rng.normal(size=(rows, FIELDS)).astype(np.float32), mask


def test_probabilities_are_a_softmax_over_what_the_mask_allows(artifact):
    observation, mask = inputs(1000)
    weights = 0.3 * np.random.default_rng(0).normal(size=(FIELDS, TREATMENTS))
    scores = np.exp(observation @ weights.astype(np.float32).astype(np.float64)) * mask
    found = load_policy(artifact).probabilities(observation, mask)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, scores / scores.sum(1, keepdims=True), rtol=2e-4)
    assert (found[~mask] == 0).all()
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-15)


def test_a_batch_larger_than_a_chunk_is_answered_as_its_parts(artifact):
    policy = load_policy(artifact)
    observation, mask = inputs(20_001)
    whole = policy.probabilities(observation, mask)
    for rows in (slice(8190, 8194), slice(20_000, 20_001)):
        np.testing.assert_allclose(whole[rows], policy.probabilities(observation[rows], mask[rows]), rtol=1e-5)


def test_what_was_written_is_what_is_read(artifact):
    policy = load_policy(artifact)
    assert policy.catalogue == CATALOGUE
    assert policy.schema == SCHEMA
    assert policy.rules == RULES
    assert policy.manifest.treatments == CATALOGUE.treatment_ids
    assert policy.manifest.price_range == {"annoyance": (0.0, 20.0), "seats": (0.0, 2.0)}
    assert policy.manifest.onnx_sha256 == hashlib.sha256((artifact / "policy.onnx").read_bytes()).hexdigest()
    assert policy.name == "kit-policy"


def test_the_same_policy_has_the_same_digest_and_another_one_another(tmp_path):
    first, again = write_kit(tmp_path / "a"), write_kit(tmp_path / "b")
    other = write_kit(tmp_path / "c", kit_network(seed=1))
    warmer = write_kit(tmp_path / "d", temperature=2.0)
    assert first.policy_digest == again.policy_digest
    assert len({first.policy_digest, other.policy_digest, warmer.policy_digest}) == 3


def test_a_changed_network_is_refused(artifact):
    (artifact / "policy.onnx").write_bytes(kit_network(seed=9))
    assert "onnx_sha256" in fault(artifact)


@pytest.mark.parametrize("field", ["floor", "lineage", "name"])
def test_a_changed_manifest_is_refused(artifact, field):
    edit(artifact, reseal=False, **{field: {"floor": 0.5, "lineage": {"data": "else"}, "name": "other"}[field]})
    assert "manifest.json: policy_digest ==" in fault(artifact)


@pytest.mark.parametrize("name", ["catalogue.yaml", "schema.yaml", "rules.yaml"])
def test_a_changed_book_is_refused(artifact, name):
    old, new = {"catalogue.yaml": ("cost: 0.1", "cost: 0.2"), "schema.yaml": ("gamma: 0.99", "gamma: 0.9"),
                "rules.yaml": ("most: 2", "most: 3")}[name]  # fmt: skip
    file = artifact / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert f"{name.removesuffix('.yaml')}_digest" in fault(artifact)


def test_a_missing_file_and_a_smuggled_file_are_refused(artifact):
    (artifact / "weights.pkl").write_bytes(b"")
    assert "weights.pkl: must not be there" in fault(artifact)
    (artifact / "weights.pkl").unlink()
    (artifact / "rules.yaml").unlink()
    assert "rules.yaml: must be there" in fault(artifact)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"treatments": ["silence", "x"]}, "treatments"),
        ({"observation_digest": "0" * 64}, "observation_digest == '000"),
        ({"price_range": {"annoyance": [0, 1]}}, "price_range must name the observed prices: annoyance, seats"),
        ({"price_range": {"annoyance": [2, 1], "seats": [0, 1]}}, "must be 0 <= low <= high"),
        ({"format": "nextbest-policy/9"}, "format == 'nextbest-policy/9', must be 'nextbest-policy/1'"),
        ({"colour": "red"}, "colour, is not a field"),
        ({"floor": 1.0}, "floor == 1.0, must be less than 1"),
        ({"kind": "rules", "onnx_sha256": None}, "policy.onnx: must not be there"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(artifact, fields, said):
    edit(artifact, **fields)
    assert said in fault(artifact)


@pytest.mark.parametrize(
    ("text", "said"), [("{", "must be JSON"), ("[]", "a JSON object"), ('{"a": NaN}', "NaN is not")]
)
def test_a_manifest_that_is_not_json_is_refused(artifact, text, said):
    (artifact / "manifest.json").write_text(text)
    assert said in fault(artifact)


def replace_network(artifact, raw):
    (artifact / "policy.onnx").write_bytes(raw)
    edit(artifact, onnx_sha256=hashlib.sha256(raw).hexdigest())


def test_a_network_of_the_wrong_width_is_refused(artifact):
    replace_network(artifact, network_bytes(FIELDS + 1, TREATMENTS))
    assert f"observation == \"tensor(float) ['batch', {FIELDS + 1}]\", must be tensor(float)" in fault(artifact)


@pytest.mark.parametrize("raw", [b"", b"not a model", b"\x08\x07"])
def test_bytes_that_are_no_network_are_refused(artifact, raw):
    replace_network(artifact, raw)
    assert "policy.onnx: " in fault(artifact)


def test_a_network_that_answers_with_something_else_than_a_distribution_is_refused(artifact):
    flat = [helper.make_node("Cast", ["mask"], ["probabilities"], to=onnx.TensorProto.FLOAT)]
    replace_network(artifact, graph_bytes(flat, {}, FIELDS, TREATMENTS))
    assert "probabilities == 5.0, must sum to 1" in fault(artifact)


def test_a_network_that_leaks_through_the_mask_is_refused(artifact):
    leak = [
        helper.make_node("MatMul", ["observation", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=-1),
    ]
    weights = {"weights": np.ones((FIELDS, TREATMENTS), np.float32)}
    replace_network(artifact, graph_bytes(leak, weights, FIELDS, TREATMENTS))
    assert "must be 0 where masked" in fault(artifact)


def external(raw, inside):
    model = onnx.load_from_string(raw)
    tensor = model.graph.initializer[0]
    if inside == "constant":
        model.graph.node.append(helper.make_node("Constant", [], ["loose"], value=tensor))
        tensor = model.graph.node[-1].attribute[0].t
    onnx.external_data_helper.set_external_data(tensor, location="/etc/hostname")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    return model.SerializeToString()


@pytest.mark.parametrize("inside", ["initializer", "constant"])
def test_a_network_whose_tensors_lie_in_another_file_is_refused(artifact, inside):
    replace_network(artifact, external(kit_network(), inside))
    assert "must hold all of its tensors" in fault(artifact)


def test_the_walk_knows_every_message_that_can_hold_a_tensor():
    for message, children in onnx_file.CHILDREN.items():
        fields = getattr(onnx, message).DESCRIPTOR.fields
        holders = {*onnx_file.CHILDREN, "TensorProto"}
        assert children == {
            f.number: f.message_type.name for f in fields if f.message_type and f.message_type.name in holders
        }
    tensor = onnx.TensorProto.DESCRIPTOR.fields_by_name
    assert (tensor["external_data"].number, tensor["data_location"].number) == (13, 14)


def test_writing_replaces_an_artifact_and_nothing_else(tmp_path):
    write_kit(tmp_path / "policy")
    second = write_kit(tmp_path / "policy", kit_network(seed=1))
    assert load_policy(tmp_path / "policy").digest == second.policy_digest
    assert [entry.name for entry in tmp_path.iterdir()] == ["policy"]
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="must be new, empty or an artifact"):
        write_kit(tmp_path / "home")
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


def test_a_network_that_cannot_be_loaded_is_not_written(tmp_path):
    write_kit(tmp_path / "policy")
    before = load_policy(tmp_path / "policy").digest
    with pytest.raises(InputError):
        write_kit(tmp_path / "policy", network_bytes(FIELDS, TREATMENTS + 1))
    assert load_policy(tmp_path / "policy").digest == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["policy"]


def test_a_disk_that_is_full_leaves_the_artifact_that_is_there(tmp_path):
    write_kit(tmp_path / "policy")
    before = load_policy(tmp_path / "policy").digest
    code = (
        "import resource, sys; sys.path.insert(0, 'tests'); from pathlib import Path\n"
        "from serving_kit import kit_network, write_kit\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        "try: write_kit(Path(sys.argv[1]), kit_network(seed=1))\n"
        "except ValueError as fault: print(fault)"
    )
    root = Path(__file__).resolve().parent.parent
    words = [sys.executable, "-c", code, tmp_path / "policy"]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True)
    assert "policy: must be written, " in done.stdout
    assert "(File too large); what stood there before still does" in done.stdout
    assert load_policy(tmp_path / "policy").digest == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["policy"]


def test_a_policy_for_another_catalogue_encoder_or_rule_book_is_refused(artifact):
    manifest = load_policy(artifact).manifest
    rules = RuleBook(RULES, CATALOGUE, SCHEMA).digest
    check_compatible(manifest, CATALOGUE, ENCODER.digest, rules)
    other = Catalogue(**CATALOGUE.model_dump() | {"treatments": CATALOGUE.treatments[:-1]})
    with pytest.raises(InputError, match="they differ in: app-care"):
        check_compatible(manifest, other, ENCODER.digest)
    with pytest.raises(InputError, match=r"observation_digest == .*, must be x"):
        check_compatible(manifest, CATALOGUE, "x")
    with pytest.raises(InputError, match="rules_digest"):
        check_compatible(manifest, CATALOGUE, ENCODER.digest, "x")


def test_prices_outside_the_range_of_training_are_refused_or_clamped(artifact):
    manifest = load_policy(artifact).manifest
    assert price_check(manifest, Prices(20.0, (0.0,))) == Prices(20.0, (0.0,))
    with pytest.raises(InputError, match=r"prices.seats == 3.0, must be in \[0, 2\]"):
        price_check(manifest, Prices(1.0, (3.0,)))
    assert price_check(manifest, Prices(25.0, (3.0,)), "clamp") == Prices(20.0, (2.0,))


def test_wrong_shapes_and_an_empty_mask_are_refused(artifact):
    policy = load_policy(artifact)
    observation, mask = inputs(3)
    with pytest.raises(InputError, match=f"observation == .*must be of shape \\(batch, {FIELDS}\\)"):
        policy.probabilities(observation[:, 1:], mask)
    with pytest.raises(InputError, match="mask"):
        policy.probabilities(observation, mask[:2])
    mask[1] = False
    with pytest.raises(InputError, match=r"mask \(row 1\), must allow a treatment"):
        policy.probabilities(observation, mask)


def test_rules_of_an_unknown_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="name == 'no_such_rules', must be one of: coordinated_rules"):
        write_artifact(tmp_path / "r", name="no_such_rules", catalogue=CATALOGUE, schema=SCHEMA, rules=RULES)


def test_an_artifact_is_read_without_torch_onnx_or_unpickling(artifact):
    code = """
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append(args) if event == "pickle.find_class" else None)
from agents.artifact import load_policy
load_policy(sys.argv[1])
heavy = {"torch", "onnx", "stable_baselines3", "mlflow", "sklearn"} & {m.split(".")[0] for m in sys.modules}
print(heavy, seen)
"""
    done = subprocess.run([sys.executable, "-c", code, artifact], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set() []"


def test_a_copy_decides_alike(artifact, tmp_path):
    shutil.copytree(artifact, tmp_path / "copy")
    observation, mask = inputs(10)
    one, two = load_policy(artifact), load_policy(tmp_path / "copy")
    assert one.digest == two.digest
    np.testing.assert_array_equal(one.probabilities(observation, mask), two.probabilities(observation, mask))


def test_rules_need_no_network(tmp_path):
    books = {"catalogue": CATALOGUE, "schema": SCHEMA, "rules": RULES}
    manifest = write_artifact(tmp_path / "rules", name="coordinated_rules", **books)
    policy = load_policy(tmp_path / "rules")
    assert (manifest.kind, manifest.onnx_sha256) == ("rules", None)
    assert policy.digest == rules_policy("coordinated_rules", *books.values()).digest
    observation, mask = inputs(50)
    found = policy.probabilities(np.abs(observation), mask)
    assert (found[~mask] == 0).all()
    np.testing.assert_array_equal(found.sum(1), 1)
