"""What a process that starts decoders does first: close itself to them, and check how well they are locked up."""

import logging

from xraygpt_core.confine import LAYERS, is_complete, look, shield
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.settings import Settings

log = logging.getLogger(__name__)


def check_cell(settings: Settings) -> None:
    """Shield this process, try out a decoder's cell, and log what stands.

    Raises:
        ConfigurationError: the cell does not hold here, and the settings require one.
    """
    shield()
    stand = look()
    missing = [layer for layer in LAYERS if layer not in stand]
    fields = {"layers": " ".join(stand), "missing": " ".join(missing)}
    if is_complete(stand):
        log.info("decoders are locked up", extra=fields)
    elif settings.decoder_cell == "required":
        raise ConfigurationError(
            f"XRAYGPT_DECODER_CELL=required: on this machine the decoder's cell lacks {', '.join(missing)}; "
            "docs/dicom.md says what each needs"
        )
    else:
        log.warning("decoders are not locked up", extra=fields)
