"""Sweeps: Optuna studies whose trials are pretrainings, judged on a validation part."""
