"""The settings of the keys that lie outside the database: which files hold them, and what is kept under seal."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_ONE_OF = (
    *("hmac_key", "hmac_old_key", "sealing_key", "sealing_old_key"),
    *("clinical_key", "clinical_old_key", "clinical_sealing_half"),
)


class KeySettings(BaseSettings):
    """For the processes that read headers or look numbers up, gateway and ingest; and for the GPU worker, which opens
    clinical text.
    """

    model_config = SettingsConfigDict(env_prefix="XRAYGPT_", extra="ignore", frozen=True)

    hmac_key_file: Path | None = Field(
        None, description="file with the pseudonymisation key (64 hex digits, mode 0600)"
    )
    hmac_key: SecretStr | None = Field(None, description="the same key as a setting, instead of the file")
    hmac_old_key_file: Path | None = Field(
        None, description="file with the key before, while `xraygpt rotate pseudonyms` replaces it"
    )
    hmac_old_key: SecretStr | None = Field(None, description="the same key as a setting, instead of the file")

    sealed_numbers: bool = Field(
        False, description="whether accession and patient numbers are kept, sealed, for readers to open"
    )
    sealing_key_file: Path | None = Field(None, description="file with the key that seals them (64 hex digits, 0600)")
    sealing_key: SecretStr | None = Field(None, description="the same key as a setting, instead of the file")
    sealing_old_key_file: Path | None = Field(
        None, description="file with the key before, while `xraygpt rotate numbers` replaces it"
    )
    sealing_old_key: SecretStr | None = Field(None, description="the same key as a setting, instead of the file")

    clinical_text: bool = Field(
        False, description="whether what request and header say of a film is shown, sealed, to models that read it"
    )
    clinical_key_file: Path | None = Field(
        None, description="file with the key that opens it, for GPU workers (64 hex digits, 0600)"
    )
    clinical_key: SecretStr | None = Field(None, description="the same key as a setting, instead of the file")
    clinical_old_key_file: Path | None = Field(
        None, description="file with the keys before, one a line, which open what was sealed for them"
    )
    clinical_old_key: SecretStr | None = Field(None, description="the same key as a setting, instead of the file")
    clinical_sealing_half_file: Path | None = Field(
        None, description="file with the key's sealing half, for gateway and ingest (136 hex digits, 0600)"
    )
    clinical_sealing_half: SecretStr | None = Field(None, description="the same half as a setting, instead of the file")

    @model_validator(mode="after")
    def _at_most_one_of_each_key(self) -> Self:
        for name in _ONE_OF:
            if getattr(self, name) is not None and getattr(self, f"{name}_file") is not None:
                setting = f"XRAYGPT_{name.upper()}"
                raise ValueError(f"set one of {setting}_FILE and {setting}, not both")
        return self
