"""What a training run is given: its configuration, its mixture of sets, and the pairs of image and text in them."""
