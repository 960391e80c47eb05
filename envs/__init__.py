"""The world: catalogue, customers, rules, response model, simulator and its Gymnasium faces.

Importing it registers `nextbest/Bank-v0` and its kin for `gymnasium.make` and `gymnasium.make_vec`.
"""

from envs.registration import register_worlds

register_worlds()
