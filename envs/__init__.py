"""Floor 0, the world: catalogue, customers, response model, rules, observation, simulator."""
