"""Search: many trials, a sampler that proposes them, a pruner that ends the poor ones early."""
