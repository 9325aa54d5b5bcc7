//! `approve`, `promote`, `pause`, `resume`, `abort`, `retry`, `clear`: records an Intervention and waits for the operator's answer.
//!
//! [`fit`] refuses early, with words, what cannot succeed (pure). What is decided then, the operator decides.

pub mod fit;

use std::time::Duration;

use firebreak_api::{
    Change, Intervention, InterventionSpec,
    change::Phase,
    intervention::{self, Outcome},
};
use tokio::time::Instant;

use crate::{
    args::{Global, Steer},
    cluster::Cluster,
    error::Error,
    facts::{self, Facts},
    output, words,
};

pub use firebreak_api::intervention::Action;

/// Longest wait for the operator's answer: it looks every second or two.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// Time between two looks for the answer.
const LOOK: Duration = Duration::from_millis(250);

/// Runs one of the commands.
///
/// # Errors
/// As the API server answers; an act that does not fit, was refused, or was not answered in time.
pub async fn run(global: &Global, args: &Steer, action: Action) -> Result<(), Error> {
    let cluster = Cluster::connect(global).await?;
    if let Some(missing) = fit::reason(action, args.reason.as_deref(), &facts::in_command(&args.guard, Some(&cluster.namespace)))
    {
        return Err(missing);
    }
    let snapshot = cluster.snapshot(false).await?;
    let guard = snapshot.guard(&args.guard, &cluster.namespace)?;
    let changes = snapshot.changes_of(guard);
    let change = fit::fit(action, guard, &changes, args.change.as_deref())?;
    let stage = changes.iter().find(|known| facts::name(known) == change).and_then(|change| stage(action, change));
    let mut act = intervention(action, &args.guard, change, stage, args.reason.clone());
    // Where a policy writes the name it writes the same; where none does (before Kubernetes 1.36), only a name is believed.
    (act.spec.by, act.spec.groups) = cluster.who_am_i().await.unwrap_or_default();
    let made = cluster.create(&act).await?;
    let name = made.metadata.name.clone().unwrap_or_default();
    if !args.wait {
        return match args.output {
            Some(format) => output::print(&made, format),
            None => output::write(&format!(
                "Intervention {name} is recorded (to {} {change}). Its outcome: kubectl get iv {name} -n {}{}\n",
                action.verb(),
                cluster.namespace,
                facts::on_cluster()
            )),
        };
    }
    let mut answered = wait(&cluster, &name, action).await?;
    answered.metadata.managed_fields = None;
    if let Some(format) = args.output {
        output::print(&answered, format)?;
    }
    let status = answered.status.unwrap_or_default();
    let said = status.message.map(|message| words::plain(&message)).filter(|message| !message.is_empty());
    match status.outcome {
        Some(Outcome::Applied) if args.output.is_some() => Ok(()),
        Some(Outcome::Applied) => {
            output::write(&format!("{} {change}: {}\n", action.verb(), said.unwrap_or_else(|| "done".to_owned())))
        }
        _ => Err(Error::Refused(format!(
            "refused to {} {change}: {}",
            action.verb(),
            said.unwrap_or_else(|| format!(
                "the operator gave no reason. What fits now: kubectl firebreak explain {}",
                facts::in_command(&args.guard, Some(&cluster.namespace))
            ))
        ))),
    }
}

/// The stage that an approve or a promote is about, as the user sees it: from 1, and 0 while held. The other acts are about the
/// Change.
#[must_use]
pub fn stage(action: Action, change: &Change) -> Option<u32> {
    if !matches!(action, Action::Approve | Action::Promote) {
        return None;
    }
    let facts = Facts::new(change, change.spec.detected_at);
    let stage = if facts.phase() == Phase::Held { 0 } else { facts.position().index };
    u32::try_from(stage).ok()
}

/// The Intervention to record.
#[must_use]
pub fn intervention(action: Action, guard: &str, change: &str, stage: Option<u32>, reason: Option<String>) -> Intervention {
    let (guard_name, change) = (guard.to_owned(), change.to_owned());
    let spec = InterventionSpec { guard: guard_name, change, action, stage, reason, by: None, groups: Vec::new() };
    let mut intervention = Intervention::new("", spec);
    intervention.metadata.name = None;
    intervention.metadata.generate_name = Some(format!("{guard}-{}-", action.verb()));
    intervention
}

async fn wait(cluster: &Cluster, name: &str, action: Action) -> Result<Intervention, Error> {
    let deadline = Instant::now() + ANSWER_LIMIT;
    let mut failure = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let answer = tokio::time::timeout_at(deadline, cluster.intervention(name)).await;
        match answer {
            Ok(Ok(seen)) if seen.status.as_ref().is_some_and(|status| status.outcome.is_some()) => return Ok(seen),
            Ok(Ok(_)) => failure = None,
            // The act is recorded: a read that fails is tried again until the deadline.
            Ok(Err(error)) => failure = Some(error),
            Err(_) => {}
        }
        if Instant::now() >= deadline {
            return Err(failure.unwrap_or_else(|| unanswered(name, &cluster.namespace, action)));
        }
    }
}

fn unanswered(name: &str, namespace: &str, action: intervention::Action) -> Error {
    Error::Unanswered(format!(
        "no operator answered within {} s. The act stays recorded as Intervention {name} and takes effect when the operator comes back. \
         Is it running? kubectl get pods -A -l app.kubernetes.io/name=firebreak{at}. \
         To watch for the answer: kubectl get iv {name} -n {namespace}{at} -w. To take the {} back before: kubectl delete iv {name} -n {namespace}{at}",
        ANSWER_LIMIT.as_secs(),
        action.verb(),
        at = facts::on_cluster()
    ))
}
