"""Floor 1, who decides: the policy protocol, baselines, the network, PPO, the artifact."""
