"""Continuous batching over image embeddings: many requests share each step of the one model on the device.

requests.py   what is asked and answered                        no torch
scheduler.py  who enters which slot, and when                   no torch
memory.py     how many slots fit                                no torch
limit.py      what the device could do at best, measured
weights.py    matrices laid out for the device
llama.py      one prefill, one decode step, over slots
engine.py     the thread that owns the device
"""
