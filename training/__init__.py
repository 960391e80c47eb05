"""Floor 3, from a log to a registered policy: import, calibrate, train, track, promote.

Every verb is one call: `training.train(TrainConfig(...))`. Its module is loaded when it is first used.
"""

from __future__ import annotations

from envs.lazy import lazy_verbs

VERBS = {
    "simulate": "training.simulate",
    "population": "training.population",
    "capacity": "training.capacity",
    "worth": "training.worth",
    "limit": "training.limit",
    "frontier": "training.price_frontier",
    "import_log": "training.import_log",
    "calibrate": "training.calibrate",
    "fidelity": "training.fidelity",
    "train": "training.train",
    "adapt": "training.adapt",
    "tuned_baselines": "training.tuned",
    "tune": "training.tune",
    "evaluate": "training.evaluate",
    "promote": "training.promote",
    "tracking_server": "training.tracking_server",
    "demo": "training.demo",
    "init": "training.init",
    "spaces": "training.spaces",
    "validate": "training.validate",
}

__getattr__ = lazy_verbs(__name__, VERBS)
