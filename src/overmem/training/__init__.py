"""Fine-tune by a recipe, or with any loss in an existing trainer."""
