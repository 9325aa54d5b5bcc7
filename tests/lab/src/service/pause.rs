//! The pause program of the lab's pod sandboxes: it holds the pod's namespaces and does nothing else.

use nix::sys::signal::{SigSet, Signal};

/// Blocks until SIGTERM or SIGINT.
///
/// No runtime and no threads, so it costs next to no memory. The signals are blocked first: the kernel drops a signal that
/// has no handler when it is sent to process 1 of a namespace, but never one that is blocked.
///
/// # Errors
/// When the kernel refuses to block or to wait for the signals.
pub fn pause() -> std::io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    signals.wait()?;
    Ok(())
}
