"""A chat server that takes images (vLLM, SGLang, TGI, llama.cpp) as the third backend: no weight is loaded here."""
