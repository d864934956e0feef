"""Reproduction suite for *Preserving Modality Structure Improves Multi-Modal Learning* (ICCV 2023)."""
