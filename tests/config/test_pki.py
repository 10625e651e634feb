"""Certificates: both ends prove who they are, and no institution can speak for another."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
import trio.testing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.verification import PolicyBuilder, Store

from config.keys import KeyFileError
from config.pki import (
    CertificateError,
    Identity,
    Issued,
    client_context,
    create_authority,
    issue_node,
    load_authority,
    parse_identity,
    peer_identity,
    root_fault,
    root_from_pem,
    root_to_pem,
    save_certificate,
    server_context,
    trust,
)

NOW = datetime.now(UTC)
PASSPHRASE = b"correct horse battery"
MOF = Identity("mohur-dev", "mof", "mof-1")
SBP = Identity("mohur-dev", "sbp", "sbp-1")


@pytest.fixture(scope="module")
def mof() -> Issued:
    return create_authority("mohur-dev", "mof", NOW)


@pytest.fixture(scope="module")
def sbp() -> Issued:
    return create_authority("mohur-dev", "sbp", NOW)


def saved(folder: Path, issued: Issued) -> tuple[Path, Path]:
    folder.mkdir()
    save_certificate(issued, folder / "tls.crt", folder / "tls.pem", PASSPHRASE)
    return folder / "tls.crt", folder / "tls.pem"


async def connect(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[bytes, bytes, str]:
    """Handshake and one message both ways over memory; each end's certificate as the other saw it."""
    left, right = trio.testing.lockstep_stream_pair()
    serving = trio.SSLStream(right, server, server_side=True)
    calling = trio.SSLStream(left, client)
    seen: dict[str, bytes] = {}

    async def serve() -> None:
        await serving.do_handshake()
        seen["by server"] = serving.getpeercert(binary_form=True)
        await serving.send_all(await serving.receive_some(5))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await calling.do_handshake()
        seen["by client"] = calling.getpeercert(binary_form=True)
        await calling.send_all(b"hello")
        assert await calling.receive_some(5) == b"hello"
    return seen["by server"], seen["by client"], calling.version()


async def test_two_nodes_meet_in_tls_1_3_and_each_knows_the_other(
    tmp_path: Path, mof: Issued, sbp: Issued
) -> None:
    roots = {"mof": (mof.der,), "sbp": (sbp.der,)}
    ders = [mof.der, sbp.der]
    server = server_context(*saved(tmp_path / "mof", issue_node(mof, MOF, NOW)), PASSPHRASE, ders)
    client = client_context(*saved(tmp_path / "sbp", issue_node(sbp, SBP, NOW)), PASSPHRASE, ders)
    by_server, by_client, version = await connect(server, client)
    assert version == "TLSv1.3"
    assert peer_identity(by_server, roots) == SBP
    assert peer_identity(by_client, roots) == MOF


async def test_a_client_without_a_certificate_is_turned_away(tmp_path: Path, mof: Issued) -> None:
    server = server_context(*saved(tmp_path / "mof", issue_node(mof, MOF, NOW)), PASSPHRASE, [mof.der])
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(cadata=mof.der)
    with pytest.raises(ExceptionGroup) as caught:
        await connect(server, client)
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in repr([error.__cause__ for error in caught.value.exceptions])


async def test_a_certificate_under_an_unknown_root_is_turned_away(tmp_path: Path, mof: Issued) -> None:
    stranger = create_authority("mohur-dev", "mof", NOW)
    server = server_context(*saved(tmp_path / "mof", issue_node(mof, MOF, NOW)), PASSPHRASE, [mof.der])
    client = client_context(
        *saved(tmp_path / "stranger", issue_node(stranger, MOF, NOW)), PASSPHRASE, [mof.der]
    )
    with pytest.raises(ExceptionGroup) as caught:
        await connect(server, client)
    assert "CERTIFICATE_VERIFY_FAILED" in repr([error.__cause__ for error in caught.value.exceptions])


async def test_an_older_tls_is_turned_away(tmp_path: Path, mof: Issued) -> None:
    files = saved(tmp_path / "mof", issue_node(mof, MOF, NOW))
    server = server_context(*files, PASSPHRASE, [mof.der])
    client = client_context(*files, PASSPHRASE, [mof.der])
    client.minimum_version = ssl.TLSVersion.TLSv1_2
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ExceptionGroup):
        await connect(server, client)


def test_an_institution_cannot_issue_the_node_of_another(mof: Issued, sbp: Issued) -> None:
    forged = issue_node(sbp, MOF, NOW)
    with pytest.raises(CertificateError, match="no root of 'mof' has issued it"):
        peer_identity(forged.der, {"mof": (mof.der,), "sbp": (sbp.der,)})


def test_an_institution_that_the_ledger_does_not_know_is_refused(mof: Issued) -> None:
    with pytest.raises(CertificateError, match="institution 'mof': there is none"):
        peer_identity(issue_node(mof, MOF, NOW).der, {})


async def test_a_root_comes_while_the_node_runs_and_goes_again(tmp_path: Path, mof: Issued) -> None:
    """Both are good during the overlap; OpenSSL keeps the old one, whose certificates are refused by name."""
    second = create_authority("mohur-dev", "mof", NOW)
    server = server_context(*saved(tmp_path / "old", issue_node(mof, MOF, NOW)), PASSPHRASE, [mof.der])
    files = saved(tmp_path / "new", issue_node(second, MOF, NOW))
    client = client_context(*files, PASSPHRASE, [mof.der])
    with pytest.raises(ExceptionGroup):
        await connect(server, client)
    assert trust(server, second.der) is None
    by_server, by_client, _ = await connect(server, client)
    overlap = {"mof": (mof.der, second.der)}
    assert peer_identity(by_server, overlap) == peer_identity(by_client, overlap) == MOF
    assert peer_identity(by_server, {"mof": (second.der,)}) == MOF
    with pytest.raises(CertificateError, match="no root of 'mof' has issued it"):
        peer_identity(by_client, {"mof": (second.der,)})


def test_what_is_no_root_is_not_trusted_and_harms_nobody(tmp_path: Path, mof: Issued) -> None:
    """An institution may have put anything into the ledger; the others' nodes go on."""
    context = server_context(*saved(tmp_path / "mof", issue_node(mof, MOF, NOW)), PASSPHRASE, [mof.der])
    for odd in (b"garbage", issue_node(mof, MOF, NOW).der):
        assert trust(context, odd) is not None


def test_a_certificate_with_a_second_name_is_refused(mof: Issued) -> None:
    names = [x509.UniformResourceIdentifier(SBP.uri), x509.UniformResourceIdentifier(MOF.uri)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(mof.certificate.subject)
        .issuer_name(mof.certificate.subject)
        .public_key(mof.private_key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(mof.private_key, hashes.SHA256())
    )
    with pytest.raises(CertificateError, match="has 2 subject alternative names, must have one URI"):
        peer_identity(certificate.public_bytes(serialization.Encoding.DER), {"mof": (mof.der,)})


@pytest.mark.parametrize(
    "uri",
    [
        "https://mohur-dev/mof/mof-1",
        "mohur://mohur-dev/mof",
        "mohur://mohur-dev/mof/mof-1/x",
        "mohur://mohur-dev//mof-1",
        "mohur://mohur-dev/MOF/mof-1",
        "mohur://mohur-dev/mof/mof-1 ",
        "mohur://mohur-dev/mof/mof-1\n",
    ],
)
def test_a_name_of_another_shape_is_refused(uri: str) -> None:
    with pytest.raises(CertificateError, match="must be mohur://"):
        parse_identity(uri)


def test_a_root_is_fit_to_be_one_and_a_node_certificate_is_not(mof: Issued) -> None:
    assert root_fault(mof.der) is None
    assert root_fault(issue_node(mof, MOF, NOW).der) is not None
    assert root_fault(b"not a certificate") is not None


def test_a_root_with_a_key_of_an_unknown_kind_is_refused_and_stops_nobody(mof: Issued) -> None:
    """Officers can vote any bytes to be a root: every node reads them, and none may stop at them."""
    strange = mof.der.replace(bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a86483d3d0201"))
    fault = root_fault(strange)
    assert fault is not None
    assert "is not a root certificate" in fault
    with pytest.raises(CertificateError, match="no root of 'mof' has issued it"):
        peer_identity(issue_node(mof, MOF, NOW).der, {"mof": (strange,)})


def test_a_root_survives_pem(mof: Issued) -> None:
    assert root_from_pem(root_to_pem(mof.der)) == mof.der
    with pytest.raises(CertificateError, match="holds 2 certificates"):
        root_from_pem(mof.pem * 2)


def test_a_node_certificate_passes_the_strict_validation_of_cryptography(mof: Issued) -> None:
    node = issue_node(mof, MOF, NOW)
    verifier = PolicyBuilder().store(Store([mof.certificate])).time(NOW).build_client_verifier()
    verified = verifier.verify(node.certificate, [])
    assert [name.value for name in verified.subjects or []] == [MOF.uri]


def test_a_wrong_passphrase_or_a_readable_key_is_named_before_tls_starts(tmp_path: Path, mof: Issued) -> None:
    certificate, key = saved(tmp_path / "mof", issue_node(mof, MOF, NOW))
    with pytest.raises(KeyFileError, match="wrong passphrase"):
        server_context(certificate, key, b"another passphrase", [mof.der])
    key.chmod(0o644)
    with pytest.raises(KeyFileError, match="mode 0644"):
        server_context(certificate, key, PASSPHRASE, [mof.der])


def test_a_root_saved_and_loaded_issues_again(tmp_path: Path, mof: Issued) -> None:
    authority = load_authority(*saved(tmp_path / "root", mof), PASSPHRASE)
    assert peer_identity(issue_node(authority, MOF, NOW).der, {"mof": (mof.der,)}) == MOF


def test_a_root_that_does_not_belong_to_its_key_is_refused(tmp_path: Path, mof: Issued, sbp: Issued) -> None:
    _, key = saved(tmp_path / "mof", mof)
    certificate, _ = saved(tmp_path / "sbp", sbp)
    with pytest.raises(CertificateError, match="does not belong to the key"):
        load_authority(certificate, key, PASSPHRASE)


def test_names_that_would_not_survive_a_uri_are_refused() -> None:
    with pytest.raises(CertificateError, match="must be 1 to 32"):
        create_authority("mohur-dev", "m/of", NOW)


def test_certificates_use_p256(mof: Issued) -> None:
    der = mof.private_key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert x509.load_der_x509_certificate(mof.der).public_key() == serialization.load_der_public_key(der)
    assert mof.private_key.curve.name == "secp256r1"
