"""What the stages of dvc.yaml do, as functions: open the inputs, run, write plain files."""
