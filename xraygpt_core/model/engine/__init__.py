"""Continuous batching over image embeddings: many requests share each step of the one model on the device.

engine.py     the backend that callers see; it starts the thread that owns the device
loop.py       that thread: admit, one token for every row, read the results
steps.py      prompts and steps on the device, repeated on smaller parts where they fail
results.py    what becomes of a row: the next token, an answer, an error
runner.py     weights and caches on the device, and what is in them
scheduler.py  which request enters which slot, and when         no torch
memory.py     how many slots fit                                no torch
llama.py      one prefill, one decode step, over slots          graphs.py: the decode step as a CUDA graph
weights.py    matrices laid out for the device                  quantised.py: of eight bits a weight
sampling.py   the next token    text.py: where a text ends      roofline.py: what the device could do at best
rows.py       a request inside the engine
"""
