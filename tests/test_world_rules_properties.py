"""What holds of any rules and histories: a slow reference agrees, a batch is its customers, tightening closes more."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rules_kit import CATALOGUE, CHANNELS, DEFAULT, IDS, MONDAY, PRODUCTS, SCHEMA, STAGES, Story, joined, situation
from rules_reference import Person, reference

from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.history import History
from envs.rule_levels import tighten
from envs.rule_text import BUILT_IN, Written
from envs.rules import Levels, RuleBook, Rules, Situation

SEVERAL = {"max_size": 2, "unique": True}
DAYS = st.integers(1, 12)


def some(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    """None or a few of some names."""
    return st.lists(st.sampled_from(values), **SEVERAL)


SELECTIONS = st.fixed_dictionaries(
    {},
    optional={
        "products": some(PRODUCTS),
        "channels": some(CHANNELS),
        "families": some(("online", "remote", "offline")),
        "benefits": some(("none", "bonus", "points")),
        "treatments": some(IDS[1:]),
    },
)
NAMED_SELECTIONS = st.one_of(
    st.fixed_dictionaries({"products": st.lists(st.sampled_from(PRODUCTS), min_size=1, **SEVERAL)}),
    st.fixed_dictionaries({"channels": st.lists(st.sampled_from(CHANNELS), min_size=1, **SEVERAL)}),
)
CONDITIONS = st.one_of(
    st.fixed_dictionaries({"column": st.just("age"), "at_least": st.integers(20, 50)}),
    st.fixed_dictionaries({"column": st.just("rating"), "at_least": st.integers(1, 3), "at_most": st.integers(3, 5)}),
    st.fixed_dictionaries({"column": st.just("vip"), "at_least": st.just(1)}),
    st.fixed_dictionaries({"column": st.just("region"), "one_of": st.just(["east", "north"])}),
    st.fixed_dictionaries({"stages": st.lists(st.sampled_from(STAGES), min_size=1, **SEVERAL)}),
    st.fixed_dictionaries({"holds": st.just(["loan", "fund"])}),
    st.fixed_dictionaries({"lacks": st.just(["loan"])}),
)
PARTS = {
    "limits": st.tuples(SELECTIONS, CONDITIONS).map(lambda pair: pair[0] | pair[1]),
    "ownerships": st.tuples(SELECTIONS, CONDITIONS, some(CHANNELS)).map(
        lambda three: three[0] | three[1] | {"owners": three[2] or ["manager"]}
    ),
    "caps": st.tuples(
        SELECTIONS, st.fixed_dictionaries({"most": st.integers(0, 4), "days": DAYS, "inbound": st.booleans()})
    ).map(lambda pair: pair[0] | pair[1]),
    "bans": st.fixed_dictionaries(
        {"never": NAMED_SELECTIONS, "after": NAMED_SELECTIONS, "days": DAYS, "either_order": st.booleans()}
    ),
    "quiet_times": st.tuples(
        SELECTIONS, some(("weekend", "holiday", "working_day")), st.sampled_from([[], ["evening"]])
    ).map(lambda three: three[0] | {"days": three[1] if three[1] or three[2] else ["weekend"], "dayparts": three[2]}),
    "hand_overs": st.fixed_dictionaries(
        {
            "products": some(PRODUCTS),
            "from_families": some(("online", "remote", "offline")),
            "unasked": st.booleans(),
            "events": st.sampled_from([["engaged"], ["abandoned"], ["engaged", "abandoned"]]),
            "to": st.lists(st.sampled_from(CHANNELS), min_size=1, **SEVERAL),
            "within_days": st.integers(1, 5),
        },
        optional={"return_to": st.just(["manager"])},
    ).map(lambda rule: rule | ({"return_days": 3} if "return_to" in rule else {})),
}


@st.composite
def _list(draw: st.DrawFn, section: str) -> list[dict[str, Any]]:
    rules = draw(st.lists(PARTS[section], max_size=2))
    return [{"name": f"{section} {position}"} | rule for position, rule in enumerate(rules)]


BUILT = {
    "consent": st.booleans(),
    "once": st.booleans(),
    "pending": st.booleans(),
    "suitability": st.sampled_from([None, "rating"]),
    "quiet": st.sampled_from([{}, {"sms": ["evening"]}, {"call": ["evening", "day"]}]),
    **dict.fromkeys(("refusal_days", "complaint_days", "focus_days", "benefit_days", "lead_owner_days"), DAYS),
}
SAYINGS = st.fixed_dictionaries({}, optional={**BUILT, **{section: _list(section) for section in PARTS}})
EVENTS = ["engaged", "abandoned", "declined", "applied", "converted", "opted_out", "complained", "risk_hold"]
STEP = st.one_of(
    st.tuples(st.just("contact"), st.sampled_from(IDS[1:])),
    st.tuples(st.just("wait"), st.integers(1, 4)),
    st.tuples(st.sampled_from(EVENTS), st.tuples(st.sampled_from([None, *CHANNELS]), st.sampled_from(PRODUCTS))),
)
PERSON = st.fixed_dictionaries(
    {
        "steps": st.lists(STEP, max_size=25),
        "day": st.integers(MONDAY - 6, MONDAY + 40),
        "stage": st.integers(-1, 2),
        "trigger": st.integers(-1, 1),
        "busy": st.integers(-1, 2),
        "age": st.sampled_from([19.0, 35.0, 60.0]),
        "rating": st.sampled_from([None, 1.0, 3.0, 5.0]),
        "vip": st.booleans(),
        "region": st.sampled_from([None, "east", "west", "north"]),
    }
)


def met(said: dict[str, Any]) -> tuple[Person, Situation]:
    """A person, slowly and as a batch of one."""
    story = Story(said["day"])
    if said["stage"] >= 0:
        story.event("stage_changed", value=said["stage"])
    for what, which in said["steps"]:
        if what == "contact":
            story.contact(which)
        elif what == "wait":
            story.wait(which)
        else:
            story.event(what, *which)
    profile = {name: said[name] for name in ("age", "rating", "vip", "region")}
    person = Person(DEFAULT | profile, story, said["trigger"], said["busy"])
    return person, situation(story, said["trigger"], said["busy"], **profile)


@settings(max_examples=100, deadline=None)
@given(SAYINGS, st.one_of(st.none(), SAYINGS), st.lists(PERSON, min_size=1, max_size=3))
def test_masks_and_reasons_are_those_of_the_slow_reference_in_a_batch_and_alone(
    said: dict[str, Any], below: dict[str, Any] | None, people: list[dict[str, Any]]
) -> None:
    rules = Rules.model_validate(said)
    if below is not None:
        try:
            east = tighten(rules, {"name": "east", **below}, Written())
        except InputError:
            east = tighten(rules, {"name": "east", "refusal_days": 30}, Written())
        rules = rules.model_copy(update={"levels": Levels(column="region", rules={"east": east})})
    book = RuleBook(rules, CATALOGUE, SCHEMA)
    met_people = [met(person) for person in people]
    batch = joined([alone for _, alone in met_people])
    mask, told = book.mask(batch), book.reasons(batch)
    assert mask[:, 0].all()
    for row, (person, alone) in enumerate(met_people):
        assert {treatment: set(names) for treatment, names in told[row].items()} == reference(rules, person)
        assert set(told[row]) == {IDS[i] for i in np.flatnonzero(~mask[row])}
        assert (book.mask(alone)[0] == mask[row]).all()
        assert book.reasons(alone)[0] == told[row]


@settings(max_examples=200, deadline=None)
@given(SAYINGS, SAYINGS, st.lists(PERSON, min_size=1, max_size=4))
def test_what_passes_as_tightening_never_allows_more(
    above: dict[str, Any], below: dict[str, Any], people: list[dict[str, Any]]
) -> None:
    rules = Rules.model_validate(above)
    lower = dict(below)
    while lower:  # leave out what is refused, until the rest passes
        try:
            tightened = tighten(rules, {"name": "low", **lower}, Written())
            break
        except InputError as fault:
            lower.pop((fault.field or "").split(".")[0])
    assume(lower)
    batch = joined([met(person)[1] for person in people])
    before = RuleBook(rules, CATALOGUE, SCHEMA).mask(batch)
    after = RuleBook(tightened, CATALOGUE, SCHEMA).mask(batch)
    assert not (after & ~before).any()


@settings(max_examples=80, deadline=None)
@given(SAYINGS, st.data(), st.lists(PERSON, min_size=1, max_size=4))
def test_each_number_and_list_that_is_drawn_tighter_never_allows_more(
    above: dict[str, Any], data: st.DataObject, people: list[dict[str, Any]]
) -> None:
    rules = Rules.model_validate(above)
    change: dict[str, Any] = {"name": "low", "consent": True, "once": True, "pending": True}
    change |= {name: getattr(rules, name) + data.draw(st.integers(0, 9)) for name in BUILT if name.endswith("_days")}
    change["caps"] = [
        {"name": c.name, "most": data.draw(st.integers(0, c.most)), "days": c.days + data.draw(st.integers(0, 9))}
        for c in rules.caps
    ]
    change["bans"] = [{"name": b.name, "days": b.days + 3, "either_order": True} for b in rules.bans]
    change["limits"] = [
        {"name": limit.name, "lacks": [*limit.lacks, "fund"], "treatments": []} for limit in rules.limits
    ]
    change["quiet_times"] = [{"name": q.name, "products": [], "families": []} for q in rules.quiet_times]
    change["hand_overs"] = [{"name": h.name, "products": [], "unasked": True} for h in rules.hand_overs]
    change["ownerships"] = [{"name": o.name, "products": [], "families": []} for o in rules.ownerships]
    tightened = tighten(rules, change, Written())
    batch = joined([met(person)[1] for person in people])
    before, after = (RuleBook(r, CATALOGUE, SCHEMA).mask(batch) for r in (rules, tightened))
    assert not (after & ~before).any()


def test_every_rule_can_be_the_one_that_masks() -> None:
    """Over many customers of random histories each rule is at some time the only one in the way."""
    rules = Rules.model_validate(
        {
            "suitability": "rating",
            "quiet": {"call": ["evening"]},
            "quiet_times": [{"name": "rest", "channels": ["call"], "days": ["weekend"]}],
            "limits": [{"name": "limit", "products": ["loan"], "column": "age", "at_least": 30}],
            "ownerships": [{"name": "owned", "column": "vip", "at_least": 1, "owners": ["manager"]}],
            "caps": [{"name": "cap", "most": 3, "days": 7}],
            "bans": [{"name": "ban", "never": {"products": ["care"]}, "after": {"products": ["loan"]}, "days": 3}],
            "hand_overs": [{"name": "lead", "products": ["fund"], "to": ["call"], "within_days": 4}],
            "refusal_days": 5,
            "complaint_days": 3,
            "focus_days": 2,
            "benefit_days": 5,
            "lead_owner_days": 9,
        }
    )
    rng = np.random.default_rng(7)
    situations = []
    for _ in range(1500):
        story = Story(MONDAY + int(rng.integers(0, 7)))
        for _ in range(int(rng.integers(0, 5))):
            story.contact(str(rng.choice(IDS[1:]))) if rng.random() < 0.6 else story.event(
                str(rng.choice(EVENTS)), str(rng.choice(CHANNELS)), str(rng.choice(PRODUCTS))
            )
            story.wait(int(rng.integers(0, 2)))
        profile = {"age": float(rng.choice([20, 40])), "rating": float(rng.choice([1, 5])), "vip": rng.random() < 0.5}
        situations.append(situation(story, int(rng.integers(-1, 2)), int(rng.integers(-1, 3)), **profile))
    told = RuleBook(rules, CATALOGUE, SCHEMA).reasons(joined(situations))
    alone = {names[0] for reasons in told for names in reasons.values() if len(names) == 1}
    assert alone == {*BUILT_IN, *(rule.name for _, rule in rules.named())}


def test_a_thousand_treatments_are_masked_as_the_same_ones_are_in_a_small_catalogue() -> None:
    """Copies of each treatment are closed together with it: words of 64 bits leave no seam."""
    said = CATALOGUE.model_dump(mode="json")
    said["treatments"] = [t | {"id": f"{t['id']} {k}"} for k in range(80) for t in said["treatments"]]
    large = Catalogue.model_validate(said)
    rules = Rules.model_validate(
        {"suitability": "rating", "caps": [{"name": "c", "channels": ["sms"], "most": 2, "days": 5}], "focus_days": 2}
    )
    story = Story().event("declined", "app", "loan").contact("sms-loan").contact("sms-care")
    at = situation(story, trigger=0, rating=2.0)
    small_mask = RuleBook(rules, CATALOGUE, SCHEMA).mask(at)[0, 1:]
    assert 0 < small_mask.sum() < small_mask.size
    history = History.fresh(large, SCHEMA, np.array([MONDAY]))
    history.customer[:], history.channel[:], history.product[:] = at.history[:3]
    mask = RuleBook(rules, large, SCHEMA).mask(at._replace(history=history))[0]
    assert mask.shape == (1 + 80 * small_mask.size,)
    assert (mask[1:].reshape(80, -1) == small_mask).all()
