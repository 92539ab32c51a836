"""Credentials of an object store, in a file as the AWS tools have it, and settings that do not agree."""

import pytest

from proxy.cache.bucket import Credentials
from proxy.service.objects import _read
from proxy.settings.objects import ObjectsSettings

FILE = "# made by hand\n[default]\naws_access_key_id = one\naws_secret_access_key=a%b=\n[other]\nx = y\n"


def test_a_file_has_an_access_key_and_perhaps_the_token_of_a_session() -> None:
    assert _read([FILE.encode()]) == Credentials("one", "a%b=")
    session = FILE.replace("[other]", "aws_session_token = t\n[other]")
    assert _read([session.encode()]) == Credentials("one", "a%b=", "t")


def test_credentials_do_not_show_themselves() -> None:
    assert "a%b" not in repr(_read([FILE.encode()]))


@pytest.mark.parametrize(
    "said",
    [
        {"region": "eu"},
        {"url": "https://frames"},
        {"url": "s3://key:secret@frames"},
        {"url": "s3://frames?x"},
        {"url": "s3://a"},
        {"url": "s3://frames/../other"},
        {"url": "s3://frames", "endpoint": "http://key:secret@minio"},
        {"url": "s3://frames", "endpoint": "http://minio", "ca_file": "ca.pem"},
        {"url": "s3://frames", "first_ms": 0},
    ],
)
def test_settings_that_do_not_agree_are_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="ObjectsSettings"):
        ObjectsSettings.model_validate(said)
