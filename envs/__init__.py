"""The world: catalogue, customers, rules, response model, simulator and its Gymnasium faces.

Importing it registers `nextbest/Bank-v0` for `gymnasium.make` and `gymnasium.make_vec`.
"""

import gymnasium

gymnasium.register(
    id="nextbest/Bank-v0",
    entry_point="envs.environment:BankEnv",
    vector_entry_point="envs.vector:BankVectorEnv",
)
