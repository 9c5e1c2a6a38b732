"""Continuous batching over image embeddings: many requests share each step of the one model on the device.

Read in the order of a request's life: ``engine``, ``loop``, ``scheduler``, ``steps``, ``runner``, ``llama``,
``results``.
"""
