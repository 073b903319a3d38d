"""What every network shares: training, persistence, the preparation of fits, layers."""
