//! What can go wrong, each with what to do next. The class of an error is its exit code.

use crate::facts::on_cluster;

/// Exit code: done.
pub const OK: u8 = 0;
/// Exit code: failed or refused.
pub const FAILED: u8 = 1;
/// Exit code: the command line asks for something that does not exist or is not clear.
pub const USAGE: u8 = 2;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable kubeconfig.
    #[error("{0}. Name one with --kubeconfig FILE and --context NAME; `kubectl config get-contexts` lists the contexts")]
    Kubeconfig(String),
    /// No answer from the API server.
    #[error("cannot {what}: {detail}. Check that the API server answers: kubectl{at} get --raw /readyz", at = on_cluster())]
    Unreachable {
        /// What was asked.
        what: String,
        /// What came instead of an answer.
        detail: String,
    },
    /// The API server does not know the user.
    #[error(
        "cannot {what}: the API server does not accept your credentials ({detail}). Log in again; `kubectl auth whoami{at}` shows who you are to it",
        at = on_cluster()
    )]
    Unknown {
        /// What was asked.
        what: String,
        /// The API server's words.
        detail: String,
    },
    /// The user may not do that.
    #[error(
        "cannot {what}: {detail}. Ask your cluster admin for the right; `kubectl auth can-i --list{at}` shows what you may do",
        at = on_cluster()
    )]
    Forbidden {
        /// What was asked.
        what: String,
        /// The API server's words.
        detail: String,
    },
    /// The cluster has no such resource.
    #[error(
        "cannot {what}: this cluster has no Firebreak resources. Install Firebreak (helm install firebreak charts/firebreak -n firebreak-system --create-namespace), or only its definitions: kubectl firebreak crds | kubectl apply{at} -f -",
        at = on_cluster()
    )]
    NotInstalled {
        /// What was asked.
        what: String,
    },
    /// The API server refused the request.
    #[error("cannot {what}: the API server answers: {detail}")]
    Server {
        /// What was asked.
        what: String,
        /// The API server's words.
        detail: String,
    },
    /// What was named does not exist, or more than one thing could be meant.
    #[error("{0}")]
    Usage(String),
    /// The act does not fit, or the operator refused it.
    #[error("{0}")]
    Refused(String),
    /// No operator answered.
    #[error("{0}")]
    Unanswered(String),
    /// The watched Change ended, but not with a promotion.
    #[error("{0}")]
    NotPromoted(String),
    /// A recorded decision comes out otherwise when it is computed again.
    #[error("{0}")]
    Differs(String),
    /// Prometheus did not say how much traffic there is.
    #[error("{0}")]
    Traffic(String),
    /// A chart could not be written.
    #[error("{0}")]
    Chart(String),
    /// The checkout does not say what was asked of it.
    #[error("{0}")]
    Claims(#[from] firebreak_claims::Error),
    /// A value could not be written as JSON or YAML: a defect of this program.
    #[error("cannot write the output: {0}. This is a defect of kubectl-firebreak: please report it with the command you ran")]
    Format(String),
    /// The terminal or the pipe failed.
    #[error("cannot write to the terminal: {0}")]
    Output(#[from] std::io::Error),
}

impl Error {
    /// The exit code that tells a script what kind of error it was.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Kubeconfig(_) => USAGE,
            Self::Claims(error) if error.is_usage() => USAGE,
            _ => FAILED,
        }
    }
}
