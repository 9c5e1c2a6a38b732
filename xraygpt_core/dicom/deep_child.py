"""A decoder that also makes the 16-bit copy: ``python -m xraygpt_core.dicom.deep_child``, a child of a sandbox."""

from xraygpt_core.dicom import decoder_child, frames
from xraygpt_core.dicom.normalise import normalise

if __name__ == "__main__":
    decoder_child.main(lambda data, limits: frames.pack_image(normalise(data, limits, deep=True)))
