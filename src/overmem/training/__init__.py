"""Fine-tune by a recipe, or with any loss in a trainer of one's own."""
