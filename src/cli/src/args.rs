//! The commands and their options, as clap reads them. No behaviour lives here.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use firebreak_engine::risk::Level;

use crate::{policy, records, rules::source::Labels};

/// See, explain and steer guarded rollouts.
#[derive(Parser, Debug)]
#[command(
    name = "kubectl-firebreak",
    bin_name = "kubectl firebreak",
    version,
    about = "See, explain and steer guarded rollouts (Firebreak)",
    after_help = "Exit codes: 0 done, 1 failed or refused, 2 wrong usage.",
    disable_help_subcommand = true
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command: which cluster, which namespace.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// Path of the kubeconfig file [default: $KUBECONFIG, then ~/.kube/config, then the pod's own service account]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use [default: its current context]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub context: Option<String>,
    /// Namespace of the Guard [default: the context's]
    #[arg(long, short, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub namespace: Option<String>,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Show the guards with their Changes; one Guard in detail; with -w live
    #[command(after_help = "Examples:
  kubectl firebreak status -A
  kubectl firebreak status checkout
  kubectl firebreak status checkout -w
  kubectl firebreak status checkout -w --until ended    # in CI: exit 0 when promoted, 1 when not")]
    Status(Status),
    /// Show who waits for a place where a limit of a policy is full, in order, and which Changes are under way; of all namespaces
    #[command(after_help = "Examples:
  kubectl firebreak queue
  kubectl firebreak queue -o json")]
    Queue(Queue),
    /// Explain a Change: what, who, why this risk and plan, where it is, what would change the outcome
    #[command(after_help = "Examples:
  kubectl firebreak explain checkout
  kubectl firebreak explain change/checkout-bcdfghjklm-1 -o json")]
    Explain(Explain),
    /// Show what became of the Changes that are kept: who changed what, who approved it, how it ended; of one Change its record
    #[command(after_help = "Examples:
  kubectl firebreak history checkout
  kubectl firebreak history change/checkout-bcdfghjklm-1
  kubectl firebreak history -A --since 30d -o wide")]
    History(records::args::History),
    /// Print the records for those who keep them: JSON lines or CDEvents, in the order of time
    #[command(after_help = "Exported twice, an entry has the same id.

Examples:
  kubectl firebreak export -A --since 30d > records.jsonl
  kubectl firebreak export --guard checkout --since 2026-07-01 --until 2026-08-01
  kubectl firebreak export -A --format cdevents --source https://firebreak.example.org/cluster-1")]
    Export(records::args::Export),
    /// Compute the recorded decisions of a Change again: whether each comes out the same, or what another policy would have decided
    #[command(
        after_help = "Exit code 1 where one does not come out the same; with another policy a difference is an answer, not a failure.

Examples:
  kubectl firebreak replay checkout
  kubectl firebreak replay change/checkout-bcdfghjklm-1 -o json
  kubectl firebreak replay checkout --level high
  kubectl firebreak replay checkout --policy stricter.yaml --level medium
  kubectl firebreak replay checkout --alpha 0.001 --budget 0.05%"
    )]
    Replay(Replay),
    /// What a policy would do to releases of a service: how soon promoted, how soon taken back, at what cost
    #[command(after_help = "Examples:
  kubectl firebreak simulate checkout
  kubectl firebreak simulate checkout --level high --prometheus-url http://localhost:9090
  kubectl firebreak simulate --rps 200 --failing 0.1% --slo 99.9
  kubectl firebreak simulate --rps 200 --failing 0.1% --policy stricter.yaml --chart before-and-after.svg")]
    Simulate(Simulate),
    /// Answer yes to what the policy asks a human before the next stage; the evidence still has to open it
    #[command(after_help = "Never your own change: the one who asked for the template and its author are refused.

Example:
  kubectl firebreak approve checkout --reason 'read the diff; the schema change is behind a flag'")]
    Approve(Steer),
    /// Let the active Change go to its next stage now, without waiting for the evidence
    #[command(after_help = "Example:
  kubectl firebreak promote checkout --reason 'looked at the traces: the errors come from the partner'")]
    Promote(Steer),
    /// Keep the active Change at its stage; it is still taken back if it does harm
    #[command(after_help = "Example:
  kubectl firebreak pause checkout --reason 'incident in payments'")]
    Pause(Steer),
    /// Let a paused Change go on
    #[command(after_help = "Example:
  kubectl firebreak resume checkout")]
    Resume(Steer),
    /// Take the candidate of the active Change back now
    #[command(after_help = "Example:
  kubectl firebreak abort checkout --reason 'wrong build'")]
    Abort(Steer),
    /// Clear the candidate that was rolled back last and begin again with it
    #[command(after_help = "Example:
  kubectl firebreak retry checkout --reason 'the database was down, not the candidate'")]
    Retry(Steer),
    /// Clear the candidate that was rolled back last without beginning: it is judged again when it is shipped or retried
    #[command(after_help = "Example:
  kubectl firebreak clear checkout --reason 'the certificate was at fault, and is renewed'")]
    Clear(Steer),
    /// What a policy makes of a change, rule by rule, and what each of its levels asks for
    #[command(after_help = "Examples:
  kubectl firebreak policy test checkout
  kubectl firebreak policy test --policy bank.yaml --from old.yaml --to new.yaml
  kubectl firebreak policy explain --policy bank.yaml")]
    Policy(PolicyArgs),
    /// What a change in this Git checkout says of its own risk, as annotations for the workload
    #[command(
        after_help = "What is read is the checkout's whole history: in GitHub Actions give actions/checkout fetch-depth: 0.

Examples:
  kubectl firebreak claims --base origin/main
  kubectl patch --local -f deployment.yaml --patch-file <(kubectl firebreak claims --base HEAD~1) -o yaml | kubectl apply -f -
  kubectl firebreak claims --base HEAD~1 -o kustomize > claims/kustomization.yaml
  kubectl firebreak claims --base HEAD~1 -o helm | xargs helm upgrade checkout ./chart"
    )]
    Claims(Claims),
    /// Print the resource definitions that a cluster needs
    #[command(after_help = "Example:
  kubectl firebreak crds | kubectl apply -f -")]
    Crds(Crds),
}

/// Options of `status`.
#[derive(Args, Clone, Debug)]
pub struct Status {
    /// The Guard; without one, all of the namespace
    #[arg(value_name = "GUARD")]
    pub guard: Option<String>,
    /// The guards of all namespaces
    #[arg(long, short = 'A', conflicts_with_all = ["guard", "watch", "namespace"])]
    pub all_namespaces: bool,
    /// Watch one Guard's Change live; where the output is no terminal, print a line each time something changes
    #[arg(long, short)]
    pub watch: bool,
    /// With -w: when to end; `ended` ends with the Change, and with exit code 1 if it was not promoted
    #[arg(long, value_enum, default_value_t = When::Quit, requires = "watch")]
    pub until: When,
    /// For machines
    #[arg(long, short, value_enum, value_name = "FORMAT", conflicts_with = "watch")]
    pub output: Option<Format>,
}

/// Options of `queue`.
#[derive(Args, Clone, Debug)]
pub struct Queue {
    /// As for the other lists: the queue is of all namespaces without it, too
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// For machines
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// When the live view ends.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// When it is told to (q or Ctrl-C).
    Quit,
    /// When the Change ends.
    Ended,
}

/// Options of `explain`.
#[derive(Args, Clone, Debug)]
pub struct Explain {
    /// A Change, or a Guard: its active or last Change; without one, the namespace's only active Change
    #[arg(value_name = "CHANGE|GUARD")]
    pub name: Option<String>,
    /// For machines
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Options of `replay`.
#[derive(Args, Clone, Debug)]
pub struct Replay {
    /// A Change, or a Guard: its active or last Change; without one, the namespace's only active Change
    #[arg(value_name = "CHANGE|GUARD")]
    pub name: Option<String>,
    /// What would have been decided under another policy.
    #[command(flatten)]
    pub policy: Policy,
    /// For machines
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Options of `simulate`.
#[derive(Args, Clone, Debug)]
pub struct Simulate {
    /// A Guard, whose policy, objective and traffic are taken; without one, --rps and --failing say what the traffic is
    #[arg(value_name = "GUARD")]
    pub guard: Option<String>,
    /// Requests a second [default: read from Prometheus]
    #[arg(long, value_name = "N", value_parser = policy::requests, help_heading = "Traffic")]
    pub rps: Option<f64>,
    /// Share of them that fails now [default: read from Prometheus]
    #[arg(long, value_name = "PERCENT", value_parser = policy::failing, help_heading = "Traffic")]
    pub failing: Option<f64>,
    /// Variance over mean of the failures: 1 one by one, 2 or 4 in bursts
    #[arg(long, value_name = "RATIO", value_parser = policy::bursts, default_value = "1", help_heading = "Traffic")]
    pub bursts: f64,
    /// Address of Prometheus [default: the Guard's]
    #[arg(long, value_name = "URL", help_heading = "Traffic")]
    pub prometheus_url: Option<String>,
    /// Seconds until metrics hold what happened [default: 5; 1 where the Guard reads the pods]
    #[arg(long, value_name = "SECONDS", value_parser = policy::seconds, help_heading = "Traffic")]
    pub metrics_delay: Option<f64>,
    /// Share of requests that must not fail, in percent, for example 99.9 [default: the Guard's]
    #[arg(long, value_name = "PERCENT", value_parser = policy::objective, help_heading = "Another policy")]
    pub slo: Option<f64>,
    /// Another policy than the Guard's.
    #[command(flatten)]
    pub policy: Policy,
    /// Runs of each release under each rule
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub runs: u32,
    /// Another number gives other chance, the same the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Draw it as well: a file that ends in .svg or .png
    #[arg(long, value_name = "FILE")]
    pub chart: Option<PathBuf>,
    /// For machines
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// A policy other than the one that holds.
#[derive(Args, Clone, Debug, Default)]
pub struct Policy {
    /// Another level of the policy
    #[arg(long, value_name = "LEVEL", value_parser = policy::level, help_heading = "Another policy")]
    pub level: Option<Level>,
    /// A file in place of the policy: a ClusterRiskPolicy, a RiskPolicy, or both
    #[arg(long, value_name = "FILE", help_heading = "Another policy")]
    pub policy: Option<PathBuf>,
    /// Probability, ever, of taking back a harmless release, for example 0.01
    #[arg(long, value_name = "P", value_parser = policy::probability, help_heading = "Another policy")]
    pub alpha: Option<f64>,
    /// Probability, per stage, of going on although the next stage harms more than the budget, for example 0.05
    #[arg(long, value_name = "P", value_parser = policy::probability, help_heading = "Another policy")]
    pub beta: Option<f64>,
    /// Ratio of failure rates that is tolerated, for example 1.25
    #[arg(long, value_name = "RATIO", value_parser = policy::margin, help_heading = "Another policy")]
    pub margin: Option<f64>,
    /// Share of all requests that the next stage may harm, for example 0.1%
    #[arg(long, value_name = "PERCENT", value_parser = policy::budget, help_heading = "Another policy")]
    pub budget: Option<f64>,
}

/// Options of the commands that steer a Change.
#[derive(Args, Clone, Debug)]
pub struct Steer {
    /// The Guard
    #[arg(value_name = "GUARD")]
    pub guard: String,
    /// Why, for the record; approve, promote, retry and clear take one
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// The Change you mean; refused if it is not the one that would be acted on
    #[arg(long, value_name = "NAME")]
    pub change: Option<String>,
    /// Wait up to 15 s for the operator's answer
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub wait: bool,
    /// For machines: print the Intervention
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Options of `policy`.
#[derive(Args, Clone, Debug)]
pub struct PolicyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PolicyCommand,
}

/// What to do with a policy.
#[derive(Subcommand, Clone, Debug)]
pub enum PolicyCommand {
    /// Run a policy on a recorded Change or on two manifests: every rule, what it asked of, and the level and plan that follow
    #[command(after_help = "Examples:
  kubectl firebreak policy test change/checkout-bcdfghjklm-1
  kubectl firebreak policy test checkout --policy stricter.yaml
  kubectl firebreak policy test --policy bank.yaml --from old.yaml --to new.yaml
  kubectl firebreak policy test --policy riskpolicy/payments --from old.yaml --to new.yaml -o json")]
    Test(PolicyTest),
    /// Print the plan that each level of a policy gives, and its rules
    #[command(after_help = "Examples:
  kubectl firebreak policy explain
  kubectl firebreak policy explain --policy clusterriskpolicy/standard --slo 99.9")]
    Explain(PolicyExplain),
}

/// Options of `policy test`.
#[derive(Args, Clone, Debug)]
pub struct PolicyTest {
    /// A Change that recorded its facts, or a Guard: its active or last Change
    #[arg(value_name = "CHANGE|GUARD", conflicts_with_all = ["from", "to"])]
    pub name: Option<String>,
    /// A file, or clusterriskpolicy/NAME, or riskpolicy/NAME [default: the Change's own; with manifests the built-in one]
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<String>,
    /// The Deployment as it is
    #[arg(long, value_name = "FILE", requires = "to", help_heading = "Manifests")]
    pub from: Option<PathBuf>,
    /// The Deployment as it is to be
    #[arg(long, value_name = "FILE", requires = "from", help_heading = "Manifests")]
    pub to: Option<PathBuf>,
    /// When it is changed, for example 2026-07-31T17:30:00Z [default: now]
    #[arg(long, value_name = "TIME", requires = "from", help_heading = "Manifests")]
    pub at: Option<jiff::Timestamp>,
    /// Who changes it [default: nobody that is known]
    #[arg(long, value_name = "USER", requires = "from", help_heading = "Manifests")]
    pub changer: Option<String>,
    /// Labels of its namespace, for example regulated=yes,team=shop; empty for none [default: not known]
    #[arg(long, value_name = "LABELS", requires = "from", value_parser = Labels::read, help_heading = "Manifests")]
    pub namespace_labels: Option<Labels>,
    /// For machines
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Options of `policy explain`.
#[derive(Args, Clone, Debug)]
pub struct PolicyExplain {
    /// A file, or clusterriskpolicy/NAME, or riskpolicy/NAME [default: the built-in one]
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<String>,
    /// Share of requests that must not fail, in percent, for example 99.9
    #[arg(long, value_name = "PERCENT", value_parser = policy::objective)]
    pub slo: Option<f64>,
    /// For machines
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Options of `claims`.
#[derive(Args, Clone, Debug)]
pub struct Claims {
    /// Where the change began: the branch it goes into, or the commit that is deployed
    #[arg(long, value_name = "REV")]
    pub base: String,
    /// The change's last commit
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    pub head: String,
    /// How to print them; patch and kustomize are YAML
    #[arg(long, short, value_enum, value_name = "FORMAT", default_value_t = ClaimsFormat::Patch)]
    pub output: ClaimsFormat,
    /// Where people can look at the change, for example the pull request
    #[arg(long, value_name = "URL")]
    pub change_url: Option<String>,
    /// With -o helm: the chart's value that becomes annotations
    #[arg(long, value_name = "PATH", default_value = "podAnnotations")]
    pub helm_path: String,
    /// Agent Trace records besides those in the repository (.agent-trace, refs/notes/agent-trace)
    #[arg(long, value_name = "FILE")]
    pub agent_trace: Option<PathBuf>,
    /// Read no more than so many commits before the change, newest first
    #[arg(long, value_name = "COMMITS", default_value_t = firebreak_claims::HISTORY_COMMITS, value_parser = crate::claims::commits)]
    pub history: usize,
    /// A folder in the checkout
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub repository: PathBuf,
}

/// How claims are printed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimsFormat {
    /// A patch of the workload's metadata.
    Patch,
    /// A kustomize component with commonAnnotations.
    Kustomize,
    /// --set-string arguments, quoted for a shell and for xargs.
    Helm,
    /// Everything, with measures and reasons.
    Json,
}

/// Options of `crds`.
#[derive(Args, Clone, Debug)]
pub struct Crds {
    /// How to print them
    #[arg(long, short, value_enum, value_name = "FORMAT", default_value_t = Format::Yaml)]
    pub output: Format,
}

/// How to print for machines.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}
