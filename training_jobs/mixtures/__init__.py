"""Mixtures of sets as files; every folder and licence that a training job knows is named in one of them."""
