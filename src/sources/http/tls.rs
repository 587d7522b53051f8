//! How TLS is spoken: which certificates are trusted, and which one we show.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::Options;
use crate::input;

/// Largest file of certificates, bytes: that of a whole system is half a megabyte.
const MOST_PEM: u64 = 16 << 20;

type Chain = Vec<CertificateDer<'static>>;

/// TLS by the options. Only where `system` is set are the system's certificates trusted as well:
/// reading them takes longer than the requests themselves.
pub(super) fn config(options: &Options, system: bool) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let authorities = authorities(&options.extra_ca)?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(not_set_up)?;
    let builder = if options.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
    } else if system {
        let verifier = Verifier::new_with_extra_roots(authorities, provider).map_err(not_set_up)?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
    } else {
        let mut trusted = RootCertStore::empty();
        trusted.add_parsable_certificates(authorities);
        builder.with_root_certificates(trusted)
    };
    let Some(file) = &options.client_cert else { return Ok(builder.with_no_client_auth()) };
    let (chain, key) = identity(file)?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("the client certificate in {}: {error}", file.display()))
}

fn not_set_up(error: Error) -> String {
    format!("no HTTPS client can be set up ({error}); try --insecure")
}

fn authorities(files: &[PathBuf]) -> Result<Chain, String> {
    let mut all = Vec::new();
    for file in files {
        let shown = file.display();
        let pem = input::bytes(file, MOST_PEM)
            .map_err(|error| format!("cannot read the certificates in {shown}: {error}"))?;
        let found = certificates(&pem);
        if found.is_empty() {
            return Err(format!("{shown} holds no PEM certificate"));
        }
        all.extend(found);
    }
    Ok(all)
}

fn identity(file: &Path) -> Result<(Chain, PrivateKeyDer<'static>), String> {
    let shown = file.display();
    let pem = input::bytes(file, MOST_PEM)
        .map_err(|error| format!("cannot read the client certificate in {shown}: {error}"))?;
    let chain = certificates(&pem);
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(key) if !chain.is_empty() => Ok((chain, key)),
        _ => Err(format!("{shown} does not hold a PEM certificate with its key")),
    }
}

/// The certificates of a PEM file; none where one of them cannot be read.
fn certificates(pem: &[u8]) -> Chain {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().unwrap_or_default()
}

/// Trusts any certificate, as `--insecure` asks for. That the server holds its key is still shown.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
