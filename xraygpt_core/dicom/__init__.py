"""From the bytes of one object to an 8-bit grey image: the only package that imports pydicom.

Read ``normalise.py`` for the path of one image and ``sandbox.py`` for how a worker survives every file.
"""

import logging

# pydicom logs the header values it doubts, and no patient's data may reach a log.
logging.getLogger("pydicom").addHandler(logging.NullHandler())
logging.getLogger("pydicom").propagate = False
