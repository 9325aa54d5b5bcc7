//! `kubectl-firebreak`: reads the arguments and hands over to [`firebreak_cli::run`].

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // An error means that a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = firebreak_cli::Cli::parse();
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(firebreak_cli::run(cli));
            runtime.shutdown_background();
            ExitCode::from(code)
        }
        Err(error) => {
            eprintln!("error: cannot start: {error}. The system gives this process no threads: raise its limits (ulimit -u)");
            ExitCode::from(firebreak_cli::FAILED)
        }
    }
}
