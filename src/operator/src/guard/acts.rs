//! Interventions that no running Change answers: retries and clearings of condemned templates, and what comes too late.

use std::sync::Arc;

use firebreak_api::{
    Change, Guard, GuardStatus, Intervention,
    change::HumanAct,
    guard::Condemned,
    intervention::{Action, Outcome},
};
use firebreak_engine::people::unattested;
use jiff::{SignedDuration, Timestamp};
use kube::{Resource as _, ResourceExt as _};

use super::{Worker, account};
use crate::{answers::Reply, attest::Vouched, observe};

/// An act of which nothing came this long after it was made is about a Change that does not run, as far as anyone can tell.
const STALE_AFTER: SignedDuration = SignedDuration::from_secs(3);

impl Worker {
    /// Whether the API server vouches for who made the open acts that are of concern; asked anew where one of them needs it.
    pub(super) fn vouched(&self, concerns: impl Fn(&Intervention) -> bool) -> Vouched {
        let open = observe::open_acts(&self.view, &self.name);
        if open.iter().any(|act| act.spec.needs_attesting() && concerns(act)) { self.attest.fresh() } else { self.attest.last() }
    }

    /// Whether an act is open that cannot be answered before the API server says whether it vouches for people.
    pub(super) fn waits_for_vouching(&self) -> bool {
        let open = observe::open_acts(&self.view, &self.name);
        open.iter().any(|act| act.spec.needs_attesting()) && self.attest.fresh() == Vouched::NotKnown
    }

    /// The Guard without its condemned template, where a human asked to try that one again.
    pub(super) async fn retried(&self, guard: &Guard, condemned: &Condemned) -> Result<Option<Guard>, kube::Error> {
        let asked = self.believed(|act| act.spec.action == Action::Retry && act.spec.change == condemned.change);
        let Some(act) = asked else { return Ok(None) };
        let guard = account::cleared(guard, &condemned.template);
        self.write_status(&guard, guard.status.clone().unwrap_or_default()).await?;
        let message = format!("template of Change {} is cleared; a new Change begins", condemned.change);
        self.answer(Some(&guard), &act, Outcome::Applied, message);
        Ok(Some(guard))
    }

    /// The Guard after what humans asked to clear, where that changes it: `digest` is of the template that the workload carries
    /// now. That one stays held until it is shipped or retried again; another is forgotten.
    pub(super) async fn clear(&self, guard: &Guard, digest: Option<&str>) -> Result<Option<Guard>, kube::Error> {
        let asked = self.believed(|act| act.spec.action == Action::Clear);
        let before = guard.status.clone().unwrap_or_default();
        let after = clearing(&before, asked.as_deref(), digest);
        if after != before {
            self.write_status(guard, after.clone()).await?;
        }
        if let Some(act) = asked {
            self.answer(Some(guard), &act, Outcome::Applied, said_of_clearing(&act, &before, digest, guard));
        }
        Ok((after != before).then(|| {
            let mut guard = guard.clone();
            guard.status = Some(after);
            guard
        }))
    }

    /// The retry or clear that let the template of this Change be judged again, where the attempt before it was condemned.
    ///
    /// Found in the caches and not handed on: a process that dies between the clearing and the new Change loses nothing.
    pub(super) fn clearing_act(&self, change: &Change) -> Option<HumanAct> {
        let before = preceding(change)?;
        let mut acts = self.view.interventions.all();
        acts.retain(|act| {
            let again = matches!(act.spec.action, Action::Retry | Action::Clear);
            again && act.spec.guard == self.name && act.spec.change == before && act.spec.by.is_some() && !self.unheard(act)
        });
        let act = acts.into_iter().max_by_key(|act| act.metadata.creation_timestamp.clone())?;
        Some(HumanAct {
            intervention: act.name_any(),
            action: act.spec.action,
            by: act.spec.by.clone(),
            at: act.metadata.creation_timestamp.as_ref().map(|time| time.0),
            reason: act.spec.reason.clone(),
        })
    }

    /// Whether an act came to nothing, or nobody vouches yet for who made it.
    fn unheard(&self, act: &Intervention) -> bool {
        match act.status.as_ref().and_then(|status| status.outcome) {
            Some(outcome) => outcome == Outcome::Refused,
            None => self.attest.fresh() != Vouched::Yes,
        }
    }

    /// An open act of this kind by someone whom the API server vouches for.
    fn believed(&self, fits: impl Fn(&Intervention) -> bool) -> Option<Arc<Intervention>> {
        let act = observe::open_acts(&self.view, &self.name).into_iter().find(|act| fits(act) && act.spec.by.is_some())?;
        (self.attest.fresh() == Vouched::Yes).then_some(act)
    }

    /// Interventions that nothing can come of any more are refused, not left open: `digest` is of the template that the
    /// workload carries now.
    ///
    /// An open retry of another template would run by itself whenever that template came back, on a word that was given for
    /// another day.
    pub(super) fn refuse_late_acts(&self, guard: &Guard, digest: Option<&str>) {
        let condemned = guard.status.as_ref().map_or(&[][..], |status| &status.condemned);
        for act in observe::open_acts(&self.view, &self.name) {
            let unknown = || self.unbelieved(&act).then(|| unattested(act.spec.action.verb()));
            if let Some(why) = refusal(&act, condemned, digest, guard).or_else(unknown) {
                self.answer(Some(guard), &act, Outcome::Refused, why);
            }
        }
    }

    fn unbelieved(&self, act: &Intervention) -> bool {
        if !act.spec.needs_attesting() {
            return false;
        }
        let vouched = self.attest.fresh();
        vouched == Vouched::No || vouched == Vouched::Yes && act.spec.by.is_none()
    }

    /// While a Change runs, what is about another one is refused: a word is given for one candidate.
    pub(super) fn refuse_stale_acts(&self, guard: Option<&Guard>, change: &Change) {
        let now = Timestamp::now();
        for act in observe::open_acts(&self.view, &self.name) {
            let over = self.view.changes.get(self.view.namespace(), &act.spec.change).is_some_and(|other| super::ended(&other));
            if let Some(why) = stale(&act, over, change, now) {
                self.answer(guard, &act, Outcome::Refused, why);
            }
        }
    }

    fn answer(&self, guard: Option<&Guard>, act: &Intervention, outcome: Outcome, message: String) {
        let namespace = self.view.namespace().to_owned();
        let change = self.view.changes.get(&namespace, &act.spec.change);
        let owner = change.and_then(|change| change.owner_ref(&())).or_else(|| guard.and_then(|guard| guard.owner_ref(&())));
        self.teller.answer(Reply { namespace, act: act.name_any(), outcome, message, owner });
    }
}

/// The name of the attempt before this one at the same template.
fn preceding(change: &Change) -> Option<String> {
    let name = change.name_any();
    let begins = name.strip_suffix(&change.spec.attempt.to_string())?;
    change.spec.attempt.checked_sub(1).filter(|before| *before > 0).map(|before| format!("{begins}{before}"))
}

/// Why nothing comes of an act while this Change runs; `over` where the Change that it names has ended.
///
/// What was made before this Change may have begun it, and the answer be on its way.
fn stale(act: &Intervention, over: bool, change: &Change, now: Timestamp) -> Option<String> {
    let (running, named, verb) = (change.name_any(), &act.spec.change, act.spec.action.verb());
    let made = act.metadata.creation_timestamp.as_ref()?.0;
    let settled = now.duration_since(made.max(change.spec.detected_at)) >= STALE_AFTER;
    let again = matches!(act.spec.action, Action::Retry | Action::Clear);
    let (guard, namespace) = (&change.spec.guard, change.namespace().unwrap_or_default());
    if again && made > change.spec.detected_at && settled {
        return Some(format!(
            "Change {running} runs, and nothing else can begin or be cleared meanwhile; wait for its end, or take it back first: \
             kubectl firebreak abort {guard} -n {namespace}"
        ));
    }
    let why = if act.spec.action.needs_reason() { " --reason '...'" } else { "" };
    (!again && over && *named != running && settled).then(|| {
        format!(
            "Change {named} has ended, and a word for one candidate is none for another: {running} runs now. Look at it: kubectl \
             firebreak explain {guard} -n {namespace}, then kubectl firebreak {verb} {guard} -n {namespace}{why} is about that one"
        )
    })
}

/// The status of a Guard after a human asked to clear, and after another template came to the workload.
fn clearing(before: &GuardStatus, asked: Option<&Intervention>, digest: Option<&str>) -> GuardStatus {
    let mut after = before.clone();
    // Once another template is shipped, a return to a cleared one is like any other.
    after.condemned.retain(|condemned| !condemned.cleared || digest == Some(&condemned.template));
    let Some(act) = asked else { return after };
    after.condemned.retain(|condemned| condemned.change != act.spec.change || digest == Some(&condemned.template));
    for condemned in &mut after.condemned {
        condemned.cleared |= condemned.change == act.spec.change;
    }
    after
}

/// Asked twice, the second finds what the first has done: that is no failure.
fn said_of_clearing(act: &Intervention, before: &GuardStatus, digest: Option<&str>, guard: &Guard) -> String {
    let change = &act.spec.change;
    match before.condemned.iter().find(|condemned| condemned.change == *change) {
        None => format!("no template is condemned by Change {change} (any more)"),
        Some(condemned) if digest == Some(&condemned.template) => format!(
            "the template of Change {change} is cleared; the workload carries it, and it stays held until it is shipped again, or: kubectl \
             firebreak retry {} -n {} --reason '...'",
            guard.name_any(),
            guard.namespace().unwrap_or_default()
        ),
        Some(_) => format!("the template of Change {change} is cleared; shipped again, it is judged like any other"),
    }
}

fn retries(act: &Intervention, condemned: &Condemned) -> bool {
    act.spec.action == Action::Retry && act.spec.change == condemned.change
}

/// Why nothing comes of an act while no Change runs; `None` for the retry of the template that waits for it, and for what is to be
/// cleared.
fn refusal(act: &Intervention, condemned: &[Condemned], digest: Option<&str>, guard: &Guard) -> Option<String> {
    let (name, namespace) = (guard.name_any(), guard.namespace().unwrap_or_default());
    let change = &act.spec.change;
    match act.spec.action {
        Action::Retry => {}
        Action::Clear => return None,
        _ => return Some(format!("Change {change} does not run; see kubectl firebreak status {name} -n {namespace}")),
    }
    match condemned.iter().find(|condemned| retries(act, condemned)) {
        Some(condemned) if digest == Some(&condemned.template) => None,
        Some(_) => Some(format!(
            "Deployment {} does not carry the template that Change {change} condemned, so there is nothing to try again now; \
             kubectl firebreak clear {name} -n {namespace} lets it be judged when it is shipped",
            guard.spec.target_ref.name
        )),
        None => Some(format!(
            "no template is condemned by Change {change}, so there is nothing to clear; to begin a Change, ship a template"
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use firebreak_api::InterventionSpec;

    use super::*;
    use crate::fake;

    fn act(action: Action) -> Intervention {
        let (guard, change) = ("shop".to_owned(), "shop-x-1".to_owned());
        Intervention::new(
            "act",
            InterventionSpec { guard, change, action, stage: None, reason: None, by: None, groups: Vec::new() },
        )
    }

    #[rstest::rstest]
    #[case::waits_for_it(Action::Retry, Some("x"), "x", None)]
    #[case::another_template_was_shipped(Action::Retry, Some("x"), "good", Some("does not carry the template"))]
    #[case::nothing_is_condemned(Action::Retry, None, "good", Some("no template is condemned"))]
    #[case::no_change_runs(Action::Abort, Some("x"), "x", Some("does not run; see kubectl firebreak status shop -n shop"))]
    fn given_no_running_change_when_an_act_is_open_then_it_waits_only_for_its_own_template(
        #[case] action: Action,
        #[case] condemned: Option<&str>,
        #[case] carried: &str,
        #[case] refused: Option<&str>,
    ) {
        let condemned: Vec<Condemned> = condemned
            .map(|template| Condemned { template: template.to_owned(), change: "shop-x-1".to_owned(), cleared: false })
            .into_iter()
            .collect();
        let why = refusal(&act(action), &condemned, Some(carried), &fake::guard("shop"));
        match refused {
            None => assert_eq!(why, None),
            Some(part) => assert!(why.clone().unwrap().contains(part), "{why:?}"),
        }
    }

    #[rstest::rstest]
    #[case("shop-x-1", 1, None)]
    #[case("shop-x-2", 2, Some("shop-x-1"))]
    #[case("shop-x-10", 10, Some("shop-x-9"))]
    fn given_an_attempt_when_asked_for_the_one_before_then_its_name(
        #[case] name: &str,
        #[case] attempt: u32,
        #[case] before: Option<&str>,
    ) {
        let mut change = fake::change(name);
        change.spec.attempt = attempt;
        assert_eq!(preceding(&change).as_deref(), before);
    }

    #[test]
    fn given_a_workload_that_is_gone_when_a_retry_is_open_then_it_is_refused() {
        let condemned = [Condemned { template: "x".to_owned(), change: "shop-x-1".to_owned(), cleared: false }];
        assert!(refusal(&act(Action::Retry), &condemned, None, &fake::guard("shop")).is_some());
    }

    fn status(cleared: bool) -> GuardStatus {
        let condemned = vec![Condemned { template: "x".to_owned(), change: "shop-x-1".to_owned(), cleared }];
        GuardStatus { condemned, ..GuardStatus::default() }
    }

    #[rstest::rstest]
    #[case::carried_it_stays_held(false, true, "x", Some(true))]
    #[case::not_carried_it_is_forgotten(false, true, "y", None)]
    #[case::nobody_asked(false, false, "x", Some(false))]
    #[case::nobody_asked_and_another_is_carried(false, false, "y", Some(false))]
    #[case::cleared_and_still_carried(true, false, "x", Some(true))]
    #[case::cleared_and_another_was_shipped(true, false, "y", None)]
    #[case::asked_twice(true, true, "x", Some(true))]
    fn given_a_condemned_template_when_cleared_then_it_is_held_until_it_is_shipped_again(
        #[case] before: bool,
        #[case] asked: bool,
        #[case] carried: &str,
        #[case] left: Option<bool>,
    ) {
        let clear = act(Action::Clear);
        let after = clearing(&status(before), asked.then_some(&clear), Some(carried));
        assert_eq!(after.condemned.first().map(|condemned| condemned.cleared), left);
    }

    #[rstest::rstest]
    #[case::of_an_ended_change(Action::Approve, "shop-x-1", true, 10, Some("is none for another: shop-y-1 runs now"))]
    #[case::of_the_running_change(Action::Approve, "shop-y-1", false, 10, None)]
    #[case::of_a_change_not_seen_yet(Action::Approve, "shop-z-1", false, 10, None)]
    #[case::just_made(Action::Approve, "shop-x-1", true, 29, None)]
    #[case::a_retry_meanwhile(Action::Retry, "shop-x-1", true, 10, Some("nothing else can begin"))]
    #[case::the_retry_that_began_it(Action::Retry, "shop-x-1", true, -1, None)]
    fn given_a_running_change_when_an_act_names_another_then_it_is_refused_once_that_is_sure(
        #[case] action: Action,
        #[case] named: &str,
        #[case] over: bool,
        #[case] made_after: i64,
        #[case] refused: Option<&str>,
    ) {
        let running = fake::change("shop-y-1");
        let at = |seconds: i64| running.spec.detected_at + SignedDuration::from_secs(seconds);
        let mut act = act(action);
        act.spec.change = named.to_owned();
        act.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(made_after)));
        let why = stale(&act, over, &running, at(30));
        match refused {
            None => assert_eq!(why, None),
            Some(part) => assert!(why.clone().unwrap().contains(part), "{why:?}"),
        }
    }
}
