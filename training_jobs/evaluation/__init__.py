"""How good a text is: scores beside their controls, published metrics, judges."""
