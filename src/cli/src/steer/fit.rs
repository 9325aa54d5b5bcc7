//! Whether an act fits a Guard as it stands: which Change it is about, or why it cannot succeed and what to do instead.

use firebreak_api::{Change, Guard, change::Phase};
use firebreak_engine::gates::is_frozen;

use super::Action;
use crate::{
    error::Error,
    facts::{self, Facts},
    words,
};

/// Why an act goes no further without a reason, where it takes one; `at` is the Guard as it is written in a command.
#[must_use]
pub fn reason(action: Action, reason: Option<&str>, at: &str) -> Option<Error> {
    let given = reason.is_some_and(|reason| !reason.trim().is_empty());
    (action.needs_reason() && !given).then(|| {
        Error::Usage(format!(
            "to {verb} takes a reason, for whoever reads the record: kubectl firebreak {verb} {at} --reason '...'",
            verb = action.verb()
        ))
    })
}

/// The name of the Change that the act is about.
///
/// `changes` are those of the Guard, the newest first; `named` is the one that the user means, if they say.
///
/// # Errors
/// [`Error::Refused`] that says what to do instead.
pub fn fit<'a>(action: Action, guard: &'a Guard, changes: &[&'a Change], named: Option<&str>) -> Result<&'a str, Error> {
    let guard_name = guard.metadata.name.as_deref().unwrap_or_default();
    if let Some(named) = named
        && !changes.iter().any(|change| facts::name(change) == named)
    {
        let recent: Vec<&str> = changes.iter().take(5).map(|change| facts::name(change)).collect();
        let known = if recent.is_empty() { "none yet".to_owned() } else { recent.join(", ") };
        return Err(Error::Refused(format!("Guard {guard_name} has no Change {named}. Its Changes: {known}")));
    }
    let at = &facts::in_command(guard_name, guard.metadata.namespace.as_deref());
    let active = facts::active(changes, Some(guard));
    let change = match (action, active) {
        (Action::Retry | Action::Clear, None) => return retry(action, guard, guard_name, changes, named),
        (Action::Retry | Action::Clear, Some(active)) => {
            return Err(Error::Refused(format!(
                "Change {} runs: nothing else can begin. Watch it: kubectl firebreak status {at} -w; or take it back first: kubectl firebreak abort {at}",
                facts::name(active)
            )));
        }
        (_, Some(active)) => active,
        (_, None) => return Err(nothing_runs(action, guard_name, at, changes)),
    };
    let name = facts::name(change);
    if let Some(named) = named.filter(|&named| named != name) {
        return Err(Error::Refused(format!(
            "Change {named} does not run any more; {name} does. To {} that one: kubectl firebreak {} {at} --change {name}{}",
            action.verb(),
            action.verb(),
            facts::why(action)
        )));
    }
    fits_phase(action, change, at).map_or(Ok(name), |why| Err(Error::Refused(why)))
}

/// Why the act does not fit the Change that runs, if it does not. An abort fits until the hand-over, which only the operator sees.
fn fits_phase(action: Action, change: &Change, at: &str) -> Option<String> {
    let status = facts::status(change);
    let name = facts::name(change);
    // Whether a freeze lets an exception through now only the operator says.
    let frozen = action == Action::Approve && status.waiting.as_ref().is_some_and(|waiting| is_frozen(&waiting.reason));
    match (action, status.phase) {
        (Action::Approve | Action::Promote | Action::Pause | Action::Resume, Phase::RollingBack) => Some(format!(
            "Change {name} is being taken back, and that is not stopped. When it is over, and the candidate was not to blame: kubectl firebreak retry {at} --reason '...'"
        )),
        (Action::Abort, Phase::RollingBack) => {
            Some(format!("Change {name} is being taken back already. Watch it: kubectl firebreak status {at} -w"))
        }
        (Action::Approve | Action::Promote, Phase::Promoting) if !frozen => {
            Some(format!("Change {name} is being promoted already. Watch it: kubectl firebreak status {at} -w"))
        }
        (Action::Pause | Action::Resume, Phase::Promoting) => Some(format!(
            "Change {name} is being handed over, which does not stop half-way. To go back, ship the older template; it is judged like any other. Watch it: kubectl firebreak status {at} -w"
        )),
        (Action::Approve, _) if !frozen && !Facts::new(change, change.spec.detected_at).next_needs_approval() => {
            Some(approves_nothing(change, at))
        }
        (Action::Pause, _) if status.paused => {
            Some(format!("Change {name} is paused already. To go on: kubectl firebreak resume {at}"))
        }
        (Action::Resume, _) if !status.paused => {
            let why = status.waiting.as_ref().map_or_else(String::new, |waiting| {
                format!(" It waits for another reason ({}): {}", words::plain(&waiting.reason), words::plain(&waiting.message))
            });
            Some(format!(
                "Change {name} is not paused.{why} To let it go on on your word: kubectl firebreak promote {at} --reason '...'"
            ))
        }
        _ => None,
    }
}

fn approves_nothing(change: &Change, at: &str) -> String {
    let facts = Facts::new(change, change.spec.detected_at);
    let asked: Vec<String> = change.spec.plan.approval_stages().iter().map(|stage| format!("{stage} %")).collect();
    let asked = if asked.is_empty() { "at no stage of it".to_owned() } else { format!("before {} only", words::list(&asked)) };
    let next = facts.next_stage().map_or_else(|| "its hand-over".to_owned(), |next| format!("{next} %"));
    format!(
        "the policy asks nobody before {next} of Change {}: it asks {asked}. Evidence lets it go on; to go on without waiting for it: kubectl firebreak promote {at} --reason '...'",
        facts.name()
    )
}

fn nothing_runs(action: Action, guard: &str, at: &str, changes: &[&Change]) -> Error {
    let last = changes.first().map(|last| {
        let facts = Facts::new(last, last.spec.detected_at);
        let retry = if facts.phase() == Phase::RolledBack {
            format!(" To begin again with it: kubectl firebreak retry {at} --reason '...'.")
        } else {
            String::new()
        };
        format!(" The last one, {}, is {}.{retry}", facts.name(), words::phase(facts.phase()))
    });
    Error::Refused(format!(
        "nothing to {}: no Change of Guard {guard} runs.{} See its state: kubectl firebreak status {at}",
        action.verb(),
        last.unwrap_or_default()
    ))
}

/// The Change to retry or clear: the last one if it was rolled back, else the one that condemned a template last, if only by being deleted.
fn retry<'a>(
    action: Action,
    guard: &'a Guard,
    guard_name: &str,
    changes: &[&'a Change],
    named: Option<&str>,
) -> Result<&'a str, Error> {
    let rolled_back = |change: &&&Change| facts::status(change).phase == Phase::RolledBack;
    if let Some(named) = named {
        let change = changes.iter().find(|change| facts::name(change) == named);
        return change.filter(rolled_back).map(|change| facts::name(change)).ok_or_else(|| {
            let phase = change.map_or("unknown", |change| words::phase(facts::status(change).phase));
            Error::Refused(format!(
                "Change {named} was not rolled back (it is {phase}): there is nothing to clear. To begin a Change, ship a template"
            ))
        });
    }
    let condemned = guard.status.as_ref().and_then(|status| status.condemned.last()).map(|last| last.change.as_str());
    let last = changes.first().filter(rolled_back).map(|change| facts::name(change));
    // A Change that was deleted condemned its template too, after all that are left.
    let deleted = condemned.filter(|name| changes.iter().all(|change| facts::name(change) != *name));
    deleted.or(last).or(condemned).ok_or_else(|| {
        let state = changes.first().map_or_else(
            || "it has had no Change yet".to_owned(),
            |last| format!("its last Change, {}, is {}", facts::name(last), words::phase(facts::status(last).phase)),
        );
        Error::Refused(format!(
            "nothing to {}: no candidate of Guard {guard_name} is condemned ({state}). To begin a Change, ship a template",
            action.verb()
        ))
    })
}

#[cfg(test)]
mod tests;
