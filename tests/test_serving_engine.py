"""A decision is drawn from what the mask allows, is in the ledger before it is answered, and stays what it was."""

import json
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import structlog
from serving_kit import CATALOGUE, NOON, PROFILE, RULES, SCHEMA, ask, kit_model, rows, tell

from agents.artifact import rules_policy
from envs.errors import InputError
from envs.prices import price_field
from envs.schema import Schema
from envs.tables import DECISIONS
from serving import pages
from serving.ask import Decided
from serving.engine import Engine, Manners
from serving.errors import Conflict, Unknown
from serving.ledger import Ledger
from serving.model import Model, fallback_model
from serving.records import Decision, Event

DAY = timedelta(days=1)
KNOWN = "income, segment, risk_rating"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return kit_model(tmp_path_factory.mktemp("kit") / "policy")


@pytest.fixture
def ledger(tmp_path, model):
    ledger = Ledger.open(tmp_path / "ledger.sqlite", model.catalogue, model.schema)
    yield ledger
    ledger.close()


@pytest.fixture
def engine(model, ledger):
    return Engine(model, ledger, np.random.default_rng(0), Manners(seeded_requests=True))


def refused(kind, engine, said, **fields):
    with pytest.raises(kind, match=said) as caught:
        ask(engine, **fields)
    assert "\n" not in str(caught.value)
    assert rows(engine)["seq"] == []
    assert rows(engine, pages.customers)["customer_id"] == []


def test_a_decision_is_the_row_of_the_ledger(engine, model):
    answer = ask(engine, trigger="app_session", prices={"seats": 1.5}, explain=True)
    row = {name: values[0] for name, values in rows(engine).items()}
    mask = np.frombuffer(row["mask"], bool)
    shares = np.frombuffer(row["probabilities"])
    assert row["decision_id"] == answer.decision_id
    assert row["treatment"] == answer.treatment
    assert row["propensity"] == answer.probability == shares[CATALOGUE.treatment_ids.index(answer.treatment)]
    assert shares.sum() == pytest.approx(1, abs=1e-12)
    assert (shares[~mask] == 0).all()
    assert set(answer.mask_reasons) == {CATALOGUE.treatment_ids[i] for i in np.flatnonzero(~mask)}
    assert set(answer.probabilities) == {CATALOGUE.treatment_ids[i] for i in np.flatnonzero(mask)}
    assert answer.prices == {"annoyance": 1.0, "seats": 1.5}
    assert answer.observation["price:seats"] == pytest.approx(float(price_field(1.5, 2.0)))
    assert answer.policy_digest == model.policy.digest == row["policy_digest"]
    assert row["rules_digest"] == model.rule_book.digest == answer.rules_digest


def test_treatments_are_drawn_with_the_probabilities_that_are_logged(engine):
    answers = [ask(engine, f"c{i}", explain=True) for i in range(600)]
    shares = answers[0].probabilities
    assert all(answer.probabilities == shares for answer in answers)
    drawn = np.array([answer.treatment for answer in answers])
    for treatment, share in shares.items():
        margin = 4.5 * np.sqrt(share * (1 - share) / len(answers))
        assert abs((drawn == treatment).mean() - share) <= margin


def test_silence_is_an_answer_and_is_logged(model, ledger):
    closed = {**PROFILE, "risk_rating": 0}  # no product is suitable
    engine = Engine(model, ledger, np.random.default_rng(0))
    answer = ask(engine, customer=closed)
    assert (answer.treatment, answer.contact, answer.probability) == ("silence", None, 1.0)
    assert rows(engine)["treatment"] == ["silence"]
    assert answer.mask_reasons["call-fund"] == ["suitability"]


def test_the_records_of_the_ledger_are_the_canonical_columns():
    assert [*Decision.__dataclass_fields__] == [*DECISIONS][:-1] + ["prices", "assignment"]
    assert [*Event.__dataclass_fields__] == [c.name for c in pages.events.columns][1:]


def test_a_repeated_request_gets_the_first_answer_and_decides_nothing(engine):
    first = ask(engine, request_id="r1")
    for _ in range(20):
        assert ask(engine, request_id="r1") == first
    assert len(rows(engine)["seq"]) == 1
    with pytest.raises(Conflict, match="request_id == 'r1', must be new, or repeat its first request exactly"):
        ask(engine, request_id="r1", trigger="app_session")


def test_a_seeded_request_decides_alike_in_another_ledger(model, tmp_path):
    drawn = []
    for name, customers in (("a", range(30)), ("b", reversed(range(30)))):
        ledger = Ledger.open(tmp_path / name, model.catalogue, model.schema)
        engine = Engine(model, ledger, np.random.default_rng(), Manners(seeded_requests=True))
        drawn.append({c: ask(engine, f"c{c}", seed=5).treatment for c in customers})
        ledger.close()
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0].values())) > 1


def test_a_known_customer_needs_no_profile_and_a_changed_one_only_what_changed(engine):
    ask(engine)
    later = ask(engine, now=NOON + DAY, customer=None, explain=True)
    assert later.observation["income"] == pytest.approx(0.4)
    richer = ask(engine, now=NOON + 2 * DAY, customer={"income": 15_000}, explain=True)
    assert richer.observation["income"] == pytest.approx(1.0)
    assert richer.observation["segment=mass"] == 1
    assert len(rows(engine, pages.customers)["customer_id"]) == 2


@pytest.mark.parametrize(
    ("kind", "said", "fields"),
    [
        (Unknown, r"customer_id == 'c1', must be a customer known by then", {"customer": None}),
        (InputError, r"customer == 'shoe_size', must be one of: " + KNOWN, {"customer": {"shoe_size": 44}}),
        (InputError, r"customer.income, must be given", {"customer": {"risk_rating": 2}}),
        (InputError, r"customer.segment == 'x', must be one of: mass", {"customer": {**PROFILE, "segment": "x"}}),
        (InputError, r"customer.income == 'much', must be a number", {"customer": {**PROFILE, "income": "much"}}),
        (InputError, r"trigger == 'dream', must be null or one of: app_session, inbound_call", {"trigger": "dream"}),
        (InputError, r"prices == 'love', must be one of: annoyance, seats", {"prices": {"love": 1}}),
        (InputError, r"prices.annoyance == 21.0, must be in \[0, 20\]", {"prices": {"annoyance": 21}}),
        (InputError, r"prices.seats == -1.0, must be a number >= 0", {"prices": {"seats": -1}}),
        (InputError, r"at == '2026-03-04.*, must not be later than", {"at": NOON + 2 * DAY}),
        (InputError, r"at == .*, must lie between 2000 and 2045", {"at": datetime(1999, 1, 1, tzinfo=UTC)}),
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_in_one_line_and_leaves_nothing(engine, kind, said, fields):
    refused(kind, engine, said, **fields)


def test_a_seed_is_refused_unless_the_service_was_started_for_it(model, ledger):
    refused(InputError, Engine(model, ledger, np.random.default_rng()), "seed == 1, must be left out", seed=1)


def test_prices_outside_the_range_can_be_clamped(model, ledger):
    with structlog.testing.capture_logs() as said:
        engine = Engine(
            model, ledger, np.random.default_rng(0), Manners(prices_outside="clamp"), structlog.get_logger()
        )
        answer = ask(engine, prices={"annoyance": 99, "seats": 1.5}, request_id="r1")
        assert answer.prices == {"annoyance": 20.0, "seats": 1.5}
        assert answer.prices_clamped == {"annoyance": 99.0}  # what was asked, in the ledger's copy of the answer, too
        assert json.loads(rows(engine, pages.decisions)["answer"][0])["prices_clamped"] == {"annoyance": 99.0}
        assert json.loads(rows(engine, pages.decisions)["prices"][0]) == answer.prices
        assert ask(engine, prices={"annoyance": 99, "seats": 1.5}, request_id="r1") == answer
        assert ask(engine, "c2", prices={"annoyance": 20}).prices_clamped == {}
    warned = {"asked": {"annoyance": 99.0}, "taken": {"annoyance": 20.0}, "decision_id": answer.decision_id}
    assert [line.items() >= warned.items() and line["log_level"] == "warning" for line in said] == [True]
    assert "annoyance 20 (asked: 99)" in str(Decided.model_validate(answer.model_dump()))


def test_a_decision_cannot_be_slipped_in_before_an_earlier_one(engine):
    ask(engine)
    for at in (NOON, NOON - DAY):
        with pytest.raises(Conflict, match=r"at == .*, must be after the customer's last decision"):
            ask(engine, at=at)
    assert ask(engine, at=None).at > NOON


def test_an_event_is_taken_once(engine):
    decision = ask(engine).decision_id
    event = {"event_id": "e1", "customer_id": "c1", "event": "complained", "decision_id": decision, "at": NOON}
    assert tell(engine, event).accepted == 1
    again = tell(engine, event, {**event, "event_id": "e2", "at": NOON - 40 * DAY})
    assert (again.accepted, again.duplicates) == (1, ["e1"])
    assert rows(engine, pages.events)["event_id"] == ["e1", "e2"]
    with pytest.raises(Conflict, match="event_id == 'e1', must be new, or repeat the same event"):
        tell(engine, {**event, "event": "engaged"})


@pytest.mark.parametrize(
    ("kind", "said", "fields"),
    [
        (Unknown, "decision_id == 'd0', must be a decision of this ledger", {"decision_id": "d0"}),
        (InputError, "event == 'danced', must be one of: abandoned, ", {"event": "danced"}),
        (InputError, "channel == 'pigeon', must be one of: sms, call, app", {"channel": "pigeon"}),
        (InputError, "product == 'yacht', must be one of: deposit, fund, care", {"product": "yacht"}),
        (InputError, "at == .*, must not be later than", {"at": NOON + 30 * DAY}),
    ],
)
def test_a_bad_event_is_refused_and_so_are_all_that_came_with_it(engine, kind, said, fields):
    good = {"event_id": "e1", "customer_id": "c1", "event": "browsed", "product": "fund"}
    with pytest.raises(kind, match=said):
        tell(engine, good, {**good, "event_id": "e2"} | fields)
    assert rows(engine, pages.events)["event_id"] == []


def test_an_event_of_another_customer_than_its_decision_is_refused(engine):
    decision = ask(engine).decision_id
    with pytest.raises(Conflict, match="customer_id == 'c2', must be the customer of the decision"):
        tell(engine, {"event_id": "e", "customer_id": "c2", "event": "engaged", "decision_id": decision})


def test_an_event_takes_channel_and_product_from_its_decision(engine):
    answers = [ask(engine, f"c{i}") for i in range(20)]
    contact = next(answer for answer in answers if answer.contact)
    tell(engine, {"event_id": "e", "customer_id": contact.customer_id, "event": "engaged",
                  "decision_id": contact.decision_id})  # fmt: skip
    found = rows(engine, pages.events)
    assert (found["channel"], found["product"]) == ([contact.contact.channel], [contact.contact.product])


def test_the_next_decision_sees_what_happened_in_between(engine):
    ask(engine)
    before = {"event_id": "e1", "customer_id": "c1", "event": "browsed", "product": "fund", "at": NOON + DAY}
    optout = {"event_id": "e2", "customer_id": "c1", "event": "opted_out", "channel": "sms", "at": NOON + DAY}
    tell(engine, before, optout, now=NOON + DAY)
    later = ask(engine, now=NOON + 2 * DAY, customer=None, explain=True)
    assert later.observation["product:fund:intent"] == pytest.approx(0.5 * 2 ** (-1 / 10) / 5, rel=1e-6)
    assert later.observation["channel:sms:consent"] == 0
    assert "consent" in later.mask_reasons["sms-deposit"]


def test_a_cap_holds_against_many_who_ask_at_once(model, ledger):
    """200 requests for one customer on 8 threads within hours, at most two contacts a week."""
    engine = Engine(model, ledger, np.random.default_rng(1))
    clock = iter(NOON + timedelta(minutes=i) for i in range(200))
    lock, contacts = threading.Lock(), []

    def worker():
        for _ in range(25):
            with lock:
                now = next(clock)
            answer = ask(engine, now=now, at=None)
            if answer.contact is not None and answer.contact.channel != "app":
                contacts.append(answer)

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = rows(engine)
    assert len(found["seq"]) == 200
    assert len(set(found["at"])) == 200
    assert len(contacts) == sum(t != "silence" for t in found["treatment"]) == 2


def test_the_coordinated_rules_decide_for_the_built_in_bank(tmp_path):
    model = fallback_model()
    assert (model.fallback, model.policy.name, model.manifest.kind) == (True, "coordinated_rules", "rules")
    profile = {c.name: c.categories[0] if c.type == "category" else c.center for c in model.schema.columns}
    ledger = Ledger.open(tmp_path / "bank.sqlite", model.catalogue, model.schema)
    engine = Engine(model, ledger, np.random.default_rng(0))
    answer = ask(engine, customer=profile, trigger="branch_visit")
    assert answer.treatment in model.catalogue.treatment_ids
    assert answer.treatment not in answer.mask_reasons
    ledger.close()


def test_a_contact_made_elsewhere_counts_towards_the_cap(engine):
    for number in range(2):
        told = {"event_id": f"e{number}", "customer_id": "c1", "event": "contacted", "channel": "sms", "at": NOON - DAY}
        tell(engine, told)
    answer = ask(engine)
    assert answer.treatment == "silence"
    assert answer.mask_reasons["sms-deposit"] == ["two a week"]
    assert ask(engine, now=NOON + 6 * DAY, explain=True).mask_reasons.get("sms-deposit") is None


def test_a_finite_task_is_decided_until_its_end(tmp_path):
    task = {"kind": "finite", "days": [0, 7, 14], "end_day": 20}
    schema = Schema(**SCHEMA.model_dump() | {"task": task})
    model = Model(rules_policy("coordinated_rules", CATALOGUE, schema, RULES), "kit", "champion")
    with closing(Ledger.open(tmp_path / "finite.sqlite", CATALOGUE, schema)) as ledger:
        engine = Engine(model, ledger, np.random.default_rng(0))
        for day, left, gap in ((0, 20, 7), (7, 13, 7), (15, 5, 5)):
            seen = ask(engine, now=NOON + day * DAY, explain=True).observation
            assert seen["task:time_left"] == pytest.approx(left / 20)
            assert seen["task:gap"] == pytest.approx(gap / 20)
        with pytest.raises(InputError, match="must be before the task's end, 20 days after the first decision"):
            ask(engine, now=NOON + 20 * DAY)
