"""Beyond this machine a cluster speaks TLS or not at all."""

import os

import pytest

from core.cluster.security import check_reach, checked_address, make_certificates, security_of
from core.common.errors import EspalierError


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.8.8.8", "::1"])
def test_this_machine_needs_no_certificate(host):
    check_reach(host, secure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.3", "::", "node7", "192.168.1.20"])
def test_a_network_needs_one(host):
    with pytest.raises(EspalierError, match="TLS"):
        check_reach(host, secure=False)
    check_reach(host, secure=True)


def test_addresses():
    assert checked_address("127.0.0.1:8786", False) == "tcp://127.0.0.1:8786"
    assert checked_address("node7:8786", True) == "tls://node7:8786"
    for wrong, secure in (
        ("127.0.0.1", False),
        ("tls://127.0.0.1:1", False),
        ("tcp://node7:1", True),
        ("x:y", False),
        ("", False),
    ):
        with pytest.raises(EspalierError, match="Expected the address of a scheduler"):
            checked_address(wrong, secure)
    with pytest.raises(EspalierError, match="TLS"):
        checked_address("node7:8786", False)


def test_certificates_are_made_once_and_kept_from_others(tmp_path):
    pytest.importorskip("cryptography")
    pytest.importorskip("distributed")
    files = make_certificates(tmp_path / "tls")
    assert [file.name for file in files] == ["ca.pem", "cluster.pem", "cluster-key.pem"]
    security = security_of(tmp_path / "tls")
    assert security.require_encryption and security.tls_ca_file == str(files[0])
    assert security.get_connection_args("client")["ssl_context"] is not None
    with pytest.raises(EspalierError, match="already"):
        make_certificates(tmp_path / "tls")
    if os.name == "posix":
        assert files[2].stat().st_mode & 0o077 == 0
        files[2].chmod(0o644)
        with pytest.raises(EspalierError, match="Others can read"):
            security_of(tmp_path / "tls")
    with pytest.raises(EspalierError, match="found no"):
        security_of(tmp_path / "elsewhere")
