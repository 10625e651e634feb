"""Certificates: a small CA per institution, node certificates under it, TLS 1.3 that asks both sides for one.

A node is who its certificate's SAN says: `mohur://<chain>/<institution>/<node>`. TLS accepts a certificate
under any institution's root; `peer_identity` then insists that it is the root of the institution that the
name claims, so that no institution can issue another's nodes. Keys are P-256, because path validation in
`cryptography.x509.verification` refuses Ed25519. Authority and subject key identifiers and key usage are
set as VERIFY_X509_STRICT demands (RFC 5280 section 4.2.1).
"""

import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from config.encryption import encrypted_pem
from config.keys import KeyFileError, checked_passphrase, load_private_pem, write_new, write_private
from config.limits import TLS_CERTIFICATE_BYTES_MAX
from ledger.identifiers import NAME

AUTHORITY_DAYS = 3650
NODE_DAYS = 730
BACKDATED = timedelta(hours=1)  # clocks of institutions differ a little
NAME_RULE = "1 to 32 of a-z, 0-9, '-' and '_', beginning with a letter"
_SCHEME = "mohur://"


# What `cryptography` raises for bytes that are no certificate, or one with a key or field it does not know.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


class CertificateError(Exception):
    """A certificate that may not be used, and why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a certificate names."""

    chain: str
    institution: str
    node: str

    @property
    def uri(self) -> str:
        return f"{_SCHEME}{self.chain}/{self.institution}/{self.node}"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its private key."""

    certificate: x509.Certificate
    private_key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def name_fault(name: str) -> str | None:
    """Why `name` may not name a chain, an institution or a node, or None if it may."""
    return None if NAME.fullmatch(name) else f"must be {NAME_RULE}"


def create_authority(chain: str, institution: str, now: datetime) -> Issued:
    """A new root for `institution`: self-signed, signs node certificates and nothing else."""
    _require_names(chain, institution)
    private_key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(institution, f"{institution} root of {chain}")
    key_identifier = x509.SubjectKeyIdentifier.from_public_key(private_key.public_key())
    certificate = (
        _builder(subject, subject, private_key.public_key(), now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(key_identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_identifier), critical=False
        )
        .sign(private_key, hashes.SHA256())
    )
    return Issued(certificate, private_key)


def issue_node(authority: Issued, identity: Identity, now: datetime) -> Issued:
    """A certificate for one node under its institution's root, good for both ends of a connection."""
    _require_names(identity.chain, identity.institution, identity.node)
    private_key = ec.generate_private_key(ec.SECP256R1())
    root = authority.certificate
    certificate = (
        _builder(
            _subject(identity.institution, identity.node),
            root.subject,
            private_key.public_key(),
            now,
            NODE_DAYS,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity.uri)]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private_key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
        .sign(authority.private_key, hashes.SHA256())
    )
    return Issued(certificate, private_key)


def save_certificate(issued: Issued, certificate: Path, key: Path, passphrase: bytes) -> None:
    """Write the certificate in PEM and its private key encrypted, mode 0600. Never overwrites."""
    write_private(key, encrypted_pem(issued.private_key, checked_passphrase(passphrase)))
    write_new(certificate, issued.pem.encode("ascii"), 0o644)


def load_authority(certificate: Path, key: Path, passphrase: bytes) -> Issued:
    """A root with its key, to issue further node certificates under it."""
    private_key = load_private_pem(key, passphrase)
    if not isinstance(private_key, ec.EllipticCurvePrivateKey):
        raise KeyFileError(f"{key}: holds a {type(private_key).__name__}, must be a P-256 key")
    try:
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes()[:TLS_CERTIFICATE_BYTES_MAX])
    except OSError as error:
        raise CertificateError(f"{certificate}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CertificateError(f"{certificate}: is not a certificate in PEM: {error}") from error
    if loaded.public_key() != private_key.public_key():
        raise CertificateError(f"{certificate}: does not belong to the key in {key}")
    return Issued(loaded, private_key)


def root_from_pem(text: str) -> bytes:
    """The DER of exactly one certificate in PEM that may stand as an institution's root."""
    try:
        certificates = x509.load_pem_x509_certificates(text.encode("utf-8"))
    except ValueError as error:
        raise CertificateError(f"is not a certificate in PEM: {error}") from error
    if len(certificates) != 1:
        raise CertificateError(f"holds {len(certificates)} certificates, must hold one")
    der = certificates[0].public_bytes(serialization.Encoding.DER)
    fault = root_fault(der)
    if fault is not None:
        raise CertificateError(fault)
    return der


def root_to_pem(der: bytes) -> str:
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM).decode("ascii")


def root_fault(der: bytes) -> str | None:
    """Why `der` may not be an institution's root, or None if it may."""
    if len(der) > TLS_CERTIFICATE_BYTES_MAX:
        return f"is {len(der)} bytes, the limit is {TLS_CERTIFICATE_BYTES_MAX}"
    try:
        certificate = x509.load_der_x509_certificate(der)
        public_key = certificate.public_key()
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints)
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
        certificate.verify_directly_issued_by(certificate)
    except x509.ExtensionNotFound as error:
        return f"lacks the extension {error.oid._name}"
    except InvalidSignature:
        return "is not signed by its own key"
    except UNREADABLE as error:
        return f"is not a root certificate: {error}"
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or public_key.curve.name != "secp256r1":
        return "must have a P-256 key"
    if not (constraints.critical and constraints.value.ca and constraints.value.path_length == 0):
        return "must be a CA whose path length is 0, by a critical extension"
    if not usage.key_cert_sign:
        return "must be allowed to sign certificates"
    return None


def peer_identity(der: bytes, roots: Mapping[str, Sequence[bytes]]) -> Identity:
    """Whom a peer's certificate names, when the institution it names issued it. Raises CertificateError as
    `identity_and_root` does."""
    return identity_and_root(der, roots)[0]


def identity_and_root(der: bytes, roots: Mapping[str, Sequence[bytes]]) -> tuple[Identity, bytes]:
    """Whom a peer's certificate names, and the root (DER) of the institution it names that issued it.

    `roots` maps each institution to its roots, two while they change. TLS has already checked the path and
    the dates. Raises CertificateError if the SAN is not one of ours, or another institution's root signed it.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (*UNREADABLE, x509.ExtensionNotFound) as error:
        raise CertificateError(f"certificate cannot be read: {error}") from error
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1 or len(names) != 1:
        raise CertificateError(f"certificate has {len(names)} subject alternative names, must have one URI")
    identity = parse_identity(uris[0])
    if identity.institution not in roots:
        raise CertificateError(f"certificate names institution {identity.institution!r}: there is none")
    for root in roots[identity.institution]:
        if _issued(certificate, root):
            return identity, root
    raise CertificateError(
        f"certificate names {identity.uri} but no root of {identity.institution!r} has issued it"
    )


def _issued(certificate: x509.Certificate, root: bytes) -> bool:
    try:
        certificate.verify_directly_issued_by(x509.load_der_x509_certificate(root))
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def parse_identity(uri: str) -> Identity:
    """Returns the parts of the name `mohur://<chain>/<institution>/<node>`. Raises CertificateError."""
    parts = uri.removeprefix(_SCHEME).split("/")
    if not uri.startswith(_SCHEME) or len(parts) != 3 or any(name_fault(part) for part in parts):
        raise CertificateError(f"certificate names {uri!r}: must be mohur://<chain>/<institution>/<node>")
    return Identity(*parts)


def server_context(certificate: Path, key: Path, passphrase: bytes, roots: Iterable[bytes]) -> ssl.SSLContext:
    """TLS 1.3 for the end that listens: it demands a certificate under one of the roots (DER)."""
    return _context(ssl.PROTOCOL_TLS_SERVER, certificate, key, passphrase, roots)


def client_context(certificate: Path, key: Path, passphrase: bytes, roots: Iterable[bytes]) -> ssl.SSLContext:
    """TLS 1.3 for the end that connects. Names of hosts play no part: identity is the SAN's URI."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, certificate, key, passphrase, roots)


def trust(context: ssl.SSLContext, root: bytes) -> str | None:
    """Let `context` accept certificates under one more root (DER) from now on; why it cannot, or None."""
    fault = root_fault(root)
    if fault is None:
        try:
            context.load_verify_locations(cadata=root)
        except ssl.SSLError as error:
            return f"is not a root certificate to OpenSSL: {error}"
    return fault


def _context(
    protocol: int, certificate: Path, key: Path, passphrase: bytes, roots: Iterable[bytes]
) -> ssl.SSLContext:
    load_private_pem(key, passphrase)  # names the fault of a key file better than OpenSSL does
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.options |= ssl.OP_NO_TICKET
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0  # no resumption: each connection proves itself
    context.load_verify_locations(cadata=b"".join(roots))
    try:
        context.load_cert_chain(certificate, key, password=passphrase)
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(f"{certificate} with {key}: {error.strerror or error}") from error
    return context


def _require_names(*names: str) -> None:
    for name in names:
        fault = name_fault(name)
        if fault is not None:
            raise CertificateError(f"name {name!r}: {fault}")


def _subject(organisation: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    moment = now.astimezone(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - BACKDATED)
        .not_valid_after(moment + timedelta(days=days))
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
