"""How good a bundle is, on drawn and on real films, beside answers that never saw the film."""
