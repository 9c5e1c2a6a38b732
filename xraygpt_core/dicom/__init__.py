"""From the bytes of one object to an 8-bit grey image: the only room that knows pydicom.

Read ``normalise.py`` for the path of one image and ``sandbox.py`` for why no file can take a worker down.
"""
