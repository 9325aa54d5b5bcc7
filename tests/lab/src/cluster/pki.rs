//! The cluster's certificate authority and everything it signs.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use super::layout::{API_ADDRESS, BRIDGE_ADDRESS, Layout};

/// A certificate with its key, both PEM.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Signs certificates the API server trusts.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// Makes a new authority, the API server's serving certificate and the key pair for service accounts, all in the folder `pki`.
    pub(crate) fn create(layout: &Layout) -> Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = authority_params()?.self_signed(&key)?.pem();
        write(layout, "ca.crt", &certificate)?;
        write(layout, "ca.key", &key.serialize_pem())?;
        let authority = Self { issuer: Issuer::new(authority_params()?, key), certificate };

        let serving = authority.serving()?;
        write(layout, "apiserver.crt", &serving.certificate)?;
        write(layout, "apiserver.key", &serving.key)?;
        let accounts = KeyPair::generate()?;
        write(layout, "accounts.key", &accounts.serialize_pem())?;
        write(layout, "accounts.pub", &accounts.public_key_pem())?;
        Ok(authority)
    }

    /// The authority of a lab that is up.
    pub(crate) fn load(layout: &Layout) -> Result<Self> {
        let read = |name: &str| {
            let path = layout.file("pki").join(name);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let key = KeyPair::from_pem(&read("ca.key")?)?;
        Ok(Self { issuer: Issuer::new(authority_params()?, key), certificate: read("ca.crt")? })
    }

    /// The authority's own certificate, PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A client certificate: the API server takes the user from its common name and the groups from its organizations.
    pub(crate) fn client(&self, user: &str, groups: &[&str]) -> Result<Identity> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.distinguished_name.push(DnType::CommonName, user);
        // rcgen keeps one value per kind of name: the second group goes under the same identifier given by number.
        let kinds = [DnType::OrganizationName, DnType::CustomDnType(vec![2, 5, 4, 10])];
        if groups.len() > kinds.len() {
            bail!("a lab's client certificate carries at most {} groups; {user} has {}", kinds.len(), groups.len());
        }
        for (kind, group) in kinds.into_iter().zip(groups) {
            params.distinguished_name.push(kind, *group);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn serving(&self) -> Result<Identity> {
        let names =
            ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];
        let mut params = CertificateParams::new(names.map(str::to_owned))?;
        for address in [Ipv4Addr::LOCALHOST, BRIDGE_ADDRESS, API_ADDRESS] {
            params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(address)));
        }
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }
}

/// Always the same but for the key, so that a later process can sign with the key alone.
fn authority_params() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, "firebreak-lab");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

fn write(layout: &Layout, name: &str, text: &str) -> Result<()> {
    write_private(&layout.file("pki").join(name), text)
}

/// Writes a file only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let mut file = fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}
