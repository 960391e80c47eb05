"""The Open Bandit importer: one decision per position of a page, the logged propensities kept as they are."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from envs.errors import InputError
from evaluation.reading import read_log
from training.configs import ImportConfig
from training.import_log import ImportedLog, import_log

DATA = Path(os.environ.get("NEXTBEST_DATA", Path(__file__).parent.parent / ".." / "shared" / "data")) / "open_bandit"
KNOWN = ("cef3390ed299", "03a5648a76", "2723d2eb8bba", "9bde591ffaab")  # beginnings of codes that the data set has
HEADER = [
    *("", "timestamp", "item_id", "position", "click", "propensity_score"),
    *(f"user_feature_{i}" for i in range(4)),
    *(f"user-item_affinity_{i}" for i in range(3)),
]


def row(number: int = 0, **changed: Any) -> list[Any]:
    cells = dict(
        zip(HEADER, [number, f"2019-11-24 00:00:0{number}.5+00:00", 1, 2, 0, 1 / 3, *KNOWN, 0, 2, 0], strict=True)
    )
    return list((cells | changed).values())


RANDOM = [row(0, click=1), row(1, item_id=0, position=3), row(2, user_feature_0="never seen")]
BTS = [row(0, propensity_score=0.000001), row(1, item_id=2, propensity_score=0.9, click=1)]


def source(tmp_path: Path, random: list[list[Any]] = RANDOM, bts: list[list[Any]] = BTS, codes: str = "ABA") -> Path:
    """Both policies' files; each hashes the items' codes in a way of its own."""
    for policy, rows in (("random", random), ("bts", bts)):
        folder = tmp_path / "source" / policy / "men"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [",".join(map(str, cells)) for cells in (HEADER, *rows)]
        (folder / "men.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        names = codes if policy == "random" else "ABA"
        items = [f"{i},{i},{0.5 * i},{policy}-{c},x,{policy}-{i}" for i, c in enumerate(names)]
        header = ",item_id,item_feature_0,item_feature_1,item_feature_2,item_feature_3"
        (folder / "item_context.csv").write_text("\n".join([header, *items]) + "\n", encoding="utf-8")
    return tmp_path / "source"


def run(folder: Path, out: Path, policy: str = "both") -> ImportedLog:
    return import_log(ImportConfig(kind="open_bandit", source=folder, out=out, policy=policy))


def test_logged_propensities_are_kept_and_the_random_policys_whole_distribution_is_known(tmp_path: Path) -> None:
    decisions = run(source(tmp_path), tmp_path / "out").tables.decisions.sort("decision_id")
    assert decisions["customer_id"].to_list() == [
        f"{p}-00000{i}" for p, n in (("bts", 2), ("random", 3)) for i in range(n)
    ]
    assert decisions["propensity"].to_list() == [0.000001, 0.9, 1 / 3, 1 / 3, 1 / 3]
    assert decisions["probabilities"].to_list() == [None] * 2 + [[0, 1 / 3, 1 / 3, 1 / 3]] * 3
    assert decisions["treatment"].to_list() == ["item-01", "item-02", "item-01", "item-00", "item-01"]
    assert decisions["assignment"].to_list() == ["champion"] * 2 + ["randomised"] * 3


def test_a_click_is_an_engagement_that_answers_to_its_page(tmp_path: Path) -> None:
    log = run(source(tmp_path), tmp_path / "out")
    events = log.tables.events.join(log.tables.decisions, on="decision_id", suffix="_decided")
    assert events.select("customer_id", "event", "product").rows() == [
        ("bts-000001", "engaged", "item-02"),
        ("random-000000", "engaged", "item-01"),
    ]
    assert (events["at"] - events["at_decided"]).to_list() == [timedelta(seconds=1)] * 2
    assert read_log(log.tables, "all").margin.sum() == 2
    assert log.reward_per_customer == pytest.approx(2 / 5)


def test_what_is_known_of_a_visitor_is_observed_and_strange_codes_are_alike(tmp_path: Path) -> None:
    tables = run(source(tmp_path), tmp_path / "out", "random").tables
    seen = [
        dict(zip(tables.encoder.names, values, strict=True)) for values in tables.decisions["observation"].to_list()
    ]
    assert [[s[f"position={p}"] for p in (1, 2, 3)] for s in seen] == [[0, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert [s["feature_0=cef339"] for s in seen] == [1, 1, 0]
    assert [s["feature_0=other"] for s in seen] == [0, 0, 1]
    assert seen[0]["past_clicks_01"] == 1
    assert not any("click" in name and "past" not in name for name in tables.encoder.names)


def test_both_policies_show_the_same_items_whatever_their_codes_are_called(tmp_path: Path) -> None:
    folder = source(tmp_path)
    one, two = (run(folder, tmp_path / policy, policy) for policy in ("random", "bts"))
    assert one.catalogue_digest == two.catalogue_digest
    assert one.observation_digest == two.observation_digest
    with pytest.raises(InputError, match="must describe the same items as"):
        run(source(tmp_path, codes="AAB"), tmp_path / "other")
    assert not (tmp_path / "other").exists()


BAD = [
    ({"propensity_score": 0}, "propensity_score must be in (0, 1]"),
    ({"propensity_score": 1.2}, "propensity_score must be a finite number in [0, 1]"),
    ({"propensity_score": 0.5}, "propensity_score must be 1/3, as random as the policy is"),
    ({"item_id": 3}, "item_id must be a whole number in [0, 2]"),
    ({"position": 4}, "position must be one of: 1, 2, 3"),
    ({"click": 2}, "click must be a whole number in [0, 1]"),
    ({"timestamp": "noon"}, "timestamp must be a time such as"),
    ({"user-item_affinity_2": "many"}, "user-item_affinity_2 must be a number"),
]


@pytest.mark.parametrize(("change", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_a_bad_row_is_quarantined_under_its_own_file(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    log = run(source(tmp_path, random=[RANDOM[0], row(1, **change), RANDOM[2]]), tmp_path / "out")
    assert log.rows_in["random/men/men.csv"] == 3
    assert {f: n for f, n in log.quarantined.items() if n} == {"random/men/men.csv": 1}
    aside = log.quarantine.row(0, named=True)
    assert (aside["file"], aside["row"]) == ("random/men/men.csv", 1)
    assert aside["reason"].startswith(reason)
    assert log.decisions == 4


def test_missing_files_end_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a directory that holds random/men, bts/men"):
        run(tmp_path / "nowhere", tmp_path / "out")
    folder = source(tmp_path)
    (folder / "bts" / "men" / "men.csv").unlink()
    with pytest.raises(InputError, match=r"bts/men/men.csv: must be a file that can be read"):
        run(folder, tmp_path / "out")
    assert run(folder, tmp_path / "random", "random").decisions == 3


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the Open Bandit data are not there: {DATA}")
def test_the_real_sample_reconciles_and_keeps_every_propensity(tmp_path: Path) -> None:
    log = run(DATA, tmp_path / "out")
    assert sum(log.quarantined.values()) == 0
    for policy, clicks in (("random", 46), ("bts", 69)):
        raw = pl.read_csv(DATA / policy / "men" / "men.csv")
        own = log.tables.decisions.filter(pl.col("customer_id").str.starts_with(policy)).sort("customer_id")
        np.testing.assert_allclose(own["propensity"], raw["propensity_score"], rtol=1e-12)
        assert (own["at"] == raw["timestamp"].str.to_datetime(time_zone="UTC", time_unit="us")).all()
        assert own["treatment"].to_list() == [f"item-{i:02d}" for i in raw["item_id"]]
        assert log.tables.events["customer_id"].str.starts_with(policy).sum() == clicks == raw["click"].sum()
    record = read_log(log.tables, "all", "randomised")
    assert record.behaviour is not None
    assert (record.propensity == 1 / 34).all()
