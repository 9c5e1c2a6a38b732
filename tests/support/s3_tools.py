"""A client of an S3 server on this machine."""

from typing import Any

import boto3
from botocore.config import Config


def s3_client(url: str | None, access_key: str, secret_key: str, verify: str | None = None, **config: Any) -> Any:
    """With paths, not host names, for buckets; ``verify`` is a file of authorities, ``config`` is botocore's."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        verify=verify,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, **config),
    )
