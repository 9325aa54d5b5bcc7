//! Everything that can be asked of one demo pod: flags, or the environment of a pod template.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use clap::builder::FalseyValueParser;

use super::values::{Burst, Latency, Onset, Share, VersionName, seconds};
use crate::load::Endpoint;

const PORT: u16 = 8080;
const METRICS_PORT: u16 = 9090;
/// A gateway goes on sending to a pod for a second or two after its end began; kubelet waits 30 s before it kills.
const DRAIN: Duration = Duration::from_secs(4);

/// The knobs of the demo service. Every knob is a flag and an environment variable; the flag wins.
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(next_line_help = true)]
pub struct Knobs {
    /// Address to listen on
    #[arg(long, env = "LISTEN", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub listen: IpAddr,
    /// Port for requests, /healthz and /ready (0: any free one)
    #[arg(long, env = "PORT", default_value_t = PORT)]
    pub port: u16,
    /// Port for /metrics (0: any free one)
    #[arg(long, env = "METRICS_PORT", default_value_t = METRICS_PORT)]
    pub metrics_port: u16,
    /// Version, answered in the header x-version and in demo_info
    #[arg(long, env = "VERSION", default_value_t = VersionName::default())]
    pub version: VersionName,
    /// Name of this pod, answered in the header x-pod (default: the host name)
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,

    /// Share of requests answered with 500
    #[arg(long, env = "ERROR_RATE", default_value_t = Share::ZERO, value_name = "0..1", help_heading = "Errors")]
    pub error_rate: Share,
    /// When the errors begin: seconds after the start (30, 500ms), or after a number of requests (requests:100)
    #[arg(long, env = "ERROR_AFTER", default_value_t = Onset::default(), value_name = "ONSET", help_heading = "Errors")]
    pub error_after: Onset,
    /// Multiply the error rate for a part of each period: period:30s,len:3s,factor:10[,phase:start|clock]
    #[arg(long, env = "BURST", value_name = "BURST", help_heading = "Errors")]
    pub burst: Option<Burst>,

    /// Time an answer takes: fixed (5ms), or jittered around a median (p50:5ms)
    #[arg(long, env = "LATENCY", default_value_t = Latency::default(), value_name = "LATENCY", help_heading = "Latency")]
    pub latency: Latency,
    /// When the slowness begins (as ERROR_AFTER): LATENCY itself, or SLOW_LATENCY where that is set
    #[arg(long, env = "SLOW_AFTER", value_name = "ONSET", help_heading = "Latency")]
    pub slow_after: Option<Onset>,
    /// The latency of slow requests, in place of LATENCY
    #[arg(long, env = "SLOW_LATENCY", value_name = "LATENCY", help_heading = "Latency")]
    pub slow_latency: Option<Latency>,
    /// Share of requests that are slow once the slowness has begun
    #[arg(long, env = "SLOW_RATE", default_value_t = Share::ONE, value_name = "0..1", help_heading = "Latency")]
    pub slow_rate: Share,

    /// Exit 1 this long after the start (10, 500ms)
    #[arg(long, env = "CRASH_AFTER", value_parser = seconds, value_name = "SECONDS", help_heading = "Life")]
    pub crash_after: Option<Duration>,
    /// Only pods whose name hashes into this share obey CRASH_AFTER (for an exact choice: crash_pods of CONTROL_URL)
    #[arg(long, env = "CRASH_SHARE", default_value_t = Share::ONE, value_name = "0..1", help_heading = "Life")]
    pub crash_share: Share,
    /// Exit 1 at once
    #[arg(long, env = "START_FAIL", num_args = 0..=1, default_missing_value = "true", default_value = "false",
          value_parser = FalseyValueParser::new(), action = clap::ArgAction::Set, help_heading = "Life")]
    pub start_fail: bool,
    /// /ready answers 503 for this long after the start
    #[arg(long, env = "READY_AFTER", value_parser = seconds, default_value = "0", value_name = "SECONDS", help_heading = "Life")]
    pub ready_after: Duration,
    /// /ready always answers 503
    #[arg(long, env = "UNREADY", num_args = 0..=1, default_missing_value = "true", default_value = "false",
          value_parser = FalseyValueParser::new(), action = clap::ArgAction::Set, help_heading = "Life")]
    pub unready: bool,
    /// How long to go on serving after SIGTERM; /ready answers 503 at once
    #[arg(long, env = "DRAIN", value_parser = seconds, default_value = "4", value_name = "SECONDS", help_heading = "Life")]
    pub drain: Duration,

    /// Poll this URL every 200 ms for overrides, e.g. {"error_rate":0.3,"latency_ms":20,"crash_pods":["a"],
    /// "by_version":{"v2":{"error_rate":1}}}; while it cannot be read, the knobs above hold
    #[arg(long, env = "CONTROL_URL", value_name = "http://IP:PORT/PATH", help_heading = "Run-time control")]
    pub control_url: Option<Endpoint>,
}

impl Default for Knobs {
    /// A healthy pod on the usual ports; what the command line gives when nothing is set.
    fn default() -> Self {
        Self {
            listen: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: PORT,
            metrics_port: METRICS_PORT,
            version: VersionName::default(),
            pod_name: None,
            error_rate: Share::ZERO,
            error_after: Onset::default(),
            burst: None,
            latency: Latency::default(),
            slow_after: None,
            slow_latency: None,
            slow_rate: Share::ONE,
            crash_after: None,
            crash_share: Share::ONE,
            start_fail: false,
            ready_after: Duration::ZERO,
            unready: false,
            drain: DRAIN,
            control_url: None,
        }
    }
}

impl Knobs {
    /// The pod's name: the knob, else the host name, which in a pod is the pod's name.
    #[must_use]
    pub fn pod(&self) -> String {
        self.pod_name.clone().unwrap_or_else(|| {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            name.trim().to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        knobs: Knobs,
    }

    fn parsed(line: &[&str]) -> Result<Knobs, clap::Error> {
        Line::try_parse_from(std::iter::once(&"demo-service").chain(line)).map(|line| line.knobs)
    }

    #[test]
    fn given_nothing_then_the_knobs_are_the_documented_defaults() {
        assert_eq!(parsed(&[]).ok(), Some(Knobs::default()));
    }

    #[test]
    fn given_shares_and_versions_out_of_range_then_the_line_is_refused() {
        assert!(parsed(&["--error-rate", "0.2"]).is_ok_and(|knobs| knobs.error_rate == Share::clamped(0.2)));
        for line in [["--error-rate", "1.1"], ["--error-rate", "NaN"], ["--version", "a b"], ["--crash-share", "-1"]] {
            assert!(parsed(&line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn given_switches_then_bare_and_valued_forms_work() {
        assert!(parsed(&["--unready"]).is_ok_and(|knobs| knobs.unready));
        assert!(parsed(&["--unready", "false"]).is_ok_and(|knobs| !knobs.unready));
        assert!(parsed(&["--start-fail", "1"]).is_ok_and(|knobs| knobs.start_fail));
    }
}
