"""Methods as data: recipes, models, pretraining."""
