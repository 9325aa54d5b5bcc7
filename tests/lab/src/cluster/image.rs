//! Container images with one static binary in them, written without a container tool.
//!
//! An image in the OCI layout is five files in a tar: `oci-layout`, `index.json`, and in `blobs/sha256` the manifest, the configuration
//! and the one layer, itself a tar that holds the binary.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const BLOCK: usize = 512;
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The owner of the process in the container: never root.
const USER: &str = "65532:65532";

/// Writes `binary` as the image `name` into the file `to`; the container runs `/<entry> <args>`.
pub(crate) fn write(to: &Path, name: &str, binary: &Path, args: &[&str]) -> Result<()> {
    let entry = binary.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let size = std::fs::metadata(binary).with_context(|| format!("cannot read {}", binary.display()))?.len();
    let mut hash = Hash::default();
    write_layer(&mut hash, &entry, binary, size)?;
    let layer = Blob { digest: hash.digest(), size: hash.size };

    let command: Vec<String> = std::iter::once(format!("/{entry}")).chain(args.iter().map(|arg| (*arg).to_owned())).collect();
    let config = serde_json::to_vec(&image_config(&command, &layer.digest)?)?;
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": Blob::of(&config).descriptor(CONFIG),
        "layers": [layer.descriptor(LAYER)],
    }))?;
    let index = serde_json::to_vec(&index(name, &Blob::of(&manifest)))?;

    let file = File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    let mut tar = BufWriter::with_capacity(1 << 20, file);
    write_entry(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    write_entry(&mut tar, "index.json", &index)?;
    write_entry(&mut tar, &Blob::of(&manifest).path(), &manifest)?;
    write_entry(&mut tar, &Blob::of(&config).path(), &config)?;
    tar.write_all(&header(&layer.path(), layer.size, 0o644)?)?;
    write_layer(&mut tar, &entry, binary, size)?;
    pad(&mut tar, layer.size)?;
    end(&mut tar)?;
    tar.flush().with_context(|| format!("cannot write {}", to.display()))
}

fn image_config(command: &[String], layer: &str) -> Result<Value> {
    Ok(json!({
        "architecture": architecture()?,
        "os": "linux",
        "config": {"Entrypoint": command, "User": USER, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    }))
}

fn index(name: &str, manifest: &Blob) -> Value {
    let mut descriptor = manifest.descriptor(MANIFEST);
    if let Some(fields) = descriptor.as_object_mut() {
        // containerd names the imported image after this annotation.
        fields.insert("annotations".to_owned(), json!({"io.containerd.image.name": name}));
    }
    json!({"schemaVersion": 2, "manifests": [descriptor]})
}

fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("no name for the processor {other} in an image's configuration"),
    }
}

/// A file of an image, known by its content.
struct Blob {
    digest: String,
    size: u64,
}

impl Blob {
    fn of(bytes: &[u8]) -> Self {
        Self { digest: format!("sha256:{}", hex(&Sha256::digest(bytes))), size: bytes.len() as u64 }
    }

    fn descriptor(&self, kind: &str) -> Value {
        json!({"mediaType": kind, "digest": self.digest, "size": self.size})
    }

    fn path(&self) -> String {
        format!("blobs/{}", self.digest.replace(':', "/"))
    }
}

/// Takes bytes and keeps their digest and number only.
#[derive(Default)]
struct Hash {
    hasher: Sha256,
    size: u64,
}

impl Hash {
    fn digest(&self) -> String {
        format!("sha256:{}", hex(&self.hasher.clone().finalize()))
    }
}

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The layer: a tar with the binary alone.
fn write_layer(to: &mut impl Write, entry: &str, binary: &Path, size: u64) -> Result<()> {
    to.write_all(&header(entry, size, 0o755)?)?;
    let file = File::open(binary).with_context(|| format!("cannot read {}", binary.display()))?;
    let copied = io::copy(&mut file.take(size), to)?;
    if copied != size {
        bail!("{} changed while it was read; try again", binary.display());
    }
    pad(to, size)?;
    end(to)
}

fn write_entry(to: &mut impl Write, name: &str, bytes: &[u8]) -> Result<()> {
    to.write_all(&header(name, bytes.len() as u64, 0o644)?)?;
    to.write_all(bytes)?;
    pad(to, bytes.len() as u64)
}

/// One header of the ustar format: fixed fields, numbers in octal, and a sum over all of it with the sum's own field taken as blanks.
fn header(name: &str, size: u64, mode: u32) -> Result<[u8; BLOCK]> {
    if name.len() > 100 {
        bail!("{name} is too long a name for a tar entry");
    }
    let mut header = [0_u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        for (slot, byte) in header.iter_mut().skip(at).zip(bytes) {
            *slot = *byte;
        }
    };
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\0");
    put(263, b"00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    for (slot, byte) in header.iter_mut().skip(148).zip(sum.as_bytes()) {
        *slot = *byte;
    }
    Ok(header)
}

fn pad(to: &mut impl Write, size: u64) -> Result<()> {
    let over = usize::try_from(size % BLOCK as u64)?;
    if over > 0 {
        to.write_all(&vec![0; BLOCK - over])?;
    }
    Ok(())
}

fn end(to: &mut impl Write) -> Result<()> {
    Ok(to.write_all(&[0; 2 * BLOCK])?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn given_a_binary_when_written_as_an_image_then_tar_reads_it_and_every_digest_is_true() {
        let folder = std::env::temp_dir().join(format!("firebreak-image-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let binary = folder.join("service");
        std::fs::write(&binary, vec![7_u8; 1000]).unwrap();
        write(&folder.join("image.tar"), "localhost/service:1", &binary, &["pause"]).unwrap();
        let unpacked = Command::new("tar").arg("-xf").arg(folder.join("image.tar")).arg("-C").arg(&folder).status().unwrap();
        assert!(unpacked.success());
        let mut blobs = 0;
        for entry in std::fs::read_dir(folder.join("blobs/sha256")).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(hex(&Sha256::digest(std::fs::read(entry.path()).unwrap())), entry.file_name().to_string_lossy());
            blobs += 1;
        }
        assert_eq!(blobs, 3);
        let index: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
        assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "localhost/service:1");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
