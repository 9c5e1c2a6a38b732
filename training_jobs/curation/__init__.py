"""From raw reports to texts a model can learn from, as the paper does (section 4): rules, rewrite, check, files."""
