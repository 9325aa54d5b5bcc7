//! Bringing programs of ours into a lab as container images.

use std::path::Path;

use anyhow::{Result, anyhow};

use super::layout::Layout;
use super::{Inner, Lab, image, node};
use crate::parts::Programs;

impl Lab {
    /// Imports a static binary as the image `name` (`localhost/demo:1`), which runs it. Pods using it need `imagePullPolicy: Never`.
    /// A foreign cluster pulls the image that was named in its place.
    ///
    /// # Errors
    /// For a foreign cluster without one, or a control plane; when the binary is missing.
    pub async fn load_image(&self, name: &str, binary: &Path) -> Result<()> {
        if let Inner::Foreign(foreign) = &*self.inner {
            return foreign.has_image(name);
        }
        let own = self.full()?;
        let programs = own.programs.clone().ok_or_else(|| anyhow!("this lab has no containerd"))?;
        load(programs, own.layout.clone(), name, binary, &[]).await
    }
}

/// See [`Lab::load_image`]; the container runs the binary with `args`.
pub(crate) async fn load(
    programs: Programs,
    layout: Layout,
    name: &str,
    binary: &Path,
    args: &'static [&'static str],
) -> Result<()> {
    let (name, binary) = (name.to_owned(), binary.to_owned());
    tokio::task::spawn_blocking(move || {
        let plain: String = name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        let file = layout.file(&format!("image-{plain}.tar"));
        image::write(&file, &name, &binary, args)?;
        let imported = node::import_image(&programs.ctr, &layout, &file);
        std::fs::remove_file(&file)?;
        imported
    })
    .await?
}
