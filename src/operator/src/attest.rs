//! Whether the API server vouches for who makes an Intervention, found out by trying.
//!
//! The chart's ValidatingAdmissionPolicy refuses every Intervention whose maker lacks the verb, or that names someone else. So
//! what is there with a name is the named one's - as long as the policy acts. Whether it does is asked with a dry run that it has
//! to refuse, since the operator makes no Interventions. The answer is fetched in the background: no turn waits for it, and what
//! makes safer needs none of it.
//!
//! What is not seen: an Intervention that was made while the policy did not act and no operator ran. Once both do it counts as
//! vouched for. Where the operator runs it is refused within seconds.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use firebreak_api::{
    Intervention, InterventionSpec,
    intervention::Action,
    names::{FIELD_MANAGER, INTERVENTIONS_POLICY},
};
use kube::{Api, Client, api::PostParams};
use tokio::time::Instant;

/// An answer counts this long for an act that lets something through.
const FRESH: Duration = Duration::from_secs(10);
/// The dry run ends within this.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// After a dry run that told nothing, the next comes no sooner.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// After so long without an answer to any dry run, nobody is vouched for: whoever asked is told, rather than left waiting.
const SILENT: Duration = Duration::from_secs(30);
/// The name that the dry run gives, nobody's: where the policy does not act and the dry run is kept by a fault, nothing comes of it.
const NOBODY: &str = "firebreak.dev/trial";

/// Whether the API server vouches for who makes Interventions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vouched {
    /// It does: the name on an Intervention is its maker's.
    Yes,
    /// It does not: anyone can have written the name.
    No,
    /// It has not said yet.
    NotKnown,
}

#[derive(Debug, Default)]
struct State {
    told: Option<(Instant, bool)>,
    asked_at: Option<Instant>,
    asking: bool,
    /// When the first of the dry runs was begun that told nothing, one after another.
    silent_since: Option<Instant>,
}

/// What is known of one namespace.
#[derive(Clone)]
pub(crate) struct Attest {
    client: Client,
    namespace: String,
    state: Arc<Mutex<State>>,
}

impl Attest {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned(), state: Arc::default() }
    }

    /// The newest answer, however old.
    pub(crate) fn last(&self) -> Vouched {
        self.with(|state| state.told.map_or(Vouched::NotKnown, |(_, vouched)| word(vouched)))
    }

    /// The answer as it is now; begins to ask where it is not known.
    pub(crate) fn fresh(&self) -> Vouched {
        let now = Instant::now();
        let (known, ask) = self.with(|state| {
            let told = state.told.filter(|(at, _)| now.duration_since(*at) < FRESH);
            let soon = state.asked_at.is_some_and(|at| now.duration_since(at) < ASK_AGAIN);
            let ask = told.is_none() && !state.asking && !soon;
            if ask {
                // What was not asked about for a while begins anew.
                let went_on = state.asked_at.is_some_and(|at| now.duration_since(at) < FRESH);
                state.silent_since = state.silent_since.filter(|_| went_on).or(Some(now));
                (state.asking, state.asked_at) = (true, Some(now));
            }
            let silent = state.silent_since.is_some_and(|since| now.duration_since(since) >= SILENT);
            let unknown = if silent { Vouched::No } else { Vouched::NotKnown };
            (told.map_or(unknown, |(_, vouched)| word(vouched)), ask)
        });
        if ask {
            let this = self.clone();
            tokio::spawn(async move {
                let told = tokio::time::timeout(ASK_WITHIN, this.ask()).await.ok().flatten();
                this.with(|state| {
                    state.asking = false;
                    if told.is_some() {
                        state.silent_since = None;
                    }
                    // As of when it was asked: what came into force since then is asked anew.
                    state.told = told.map(|vouched| (now, vouched)).or(state.told);
                });
            });
        }
        known
    }

    fn with<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tries what the policy refuses; `None` where the API server did not say.
    async fn ask(&self) -> Option<bool> {
        let api: Api<Intervention> = Api::namespaced(self.client.clone(), &self.namespace);
        let params = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.to_owned()) };
        match api.create(&params, &trial()).await {
            Ok(_) => {
                tracing::warn!(
                    namespace = self.namespace,
                    "the API server takes Interventions in anyone's name: none lets anything through"
                );
                Some(false)
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {
                let vouched = status.message.contains(&format!("ValidatingAdmissionPolicy '{INTERVENTIONS_POLICY}' "));
                if !vouched {
                    tracing::warn!(
                        namespace = self.namespace,
                        message = status.message,
                        "cannot try whether the API server vouches for who makes Interventions, so none lets anything through"
                    );
                }
                Some(vouched)
            }
            Err(error) => {
                tracing::warn!(namespace = self.namespace, %error, "the API server does not say whether it vouches for people; it is asked again");
                None
            }
        }
    }
}

fn word(vouched: bool) -> Vouched {
    if vouched { Vouched::Yes } else { Vouched::No }
}

/// An act that does nothing wherever it is taken, in the name of nobody.
fn trial() -> Intervention {
    let mut trial = Intervention::new(
        "",
        InterventionSpec {
            guard: "trial".to_owned(),
            change: "trial".to_owned(),
            action: Action::Pause,
            stage: None,
            reason: None,
            by: Some(NOBODY.to_owned()),
            groups: Vec::new(),
        },
    );
    trial.metadata.name = None;
    trial.metadata.generate_name = Some("firebreak-trial-".to_owned());
    trial
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::fake;

    const BY_THE_POLICY: &str = "interventions.firebreak.dev \"firebreak-trial-x\" is forbidden: ValidatingAdmissionPolicy \
        'firebreak-interventions' with binding 'firebreak-interventions' denied request: the operator answers Interventions";

    async fn told(attest: &Attest) -> Vouched {
        let known = async {
            while attest.fresh() == Vouched::NotKnown {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), known).await.unwrap();
        attest.last()
    }

    #[rstest]
    #[case::refused_by_the_policy(403, BY_THE_POLICY, Vouched::Yes)]
    #[case::refused_for_want_of_a_right(
        403,
        "interventions.firebreak.dev is forbidden: User cannot create resource",
        Vouched::No
    )]
    #[case::refused_by_another_policy(403, "ValidatingAdmissionPolicy 'other' denied request", Vouched::No)]
    #[case::named_by_another_policy(
        403,
        "ValidatingAdmissionPolicy 'other' denied request: see 'firebreak-interventions' ",
        Vouched::No
    )]
    #[case::taken(201, "", Vouched::No)]
    #[tokio::test(start_paused = true)]
    async fn given_an_answer_to_the_dry_run_when_read_then_only_the_policys_refusal_vouches(
        #[case] code: u16,
        #[case] message: &'static str,
        #[case] expected: Vouched,
    ) {
        let (client, log) = fake::client(move |asked: fake::Asked| async move {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": code, "message": message});
            if code == 403 { (code, status) } else { (code, asked.body) }
        });
        assert_eq!(told(&Attest::new(client, "shop")).await, expected);
        let asked = fake::asked(&log);
        assert!(asked.iter().all(|asked| asked.path.contains("dryRun=All")), "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn given_an_api_server_that_hangs_when_asked_then_nobody_waits_and_nothing_is_known() {
        let (client, log) = fake::client(|_| async { std::future::pending().await });
        let attest = Attest::new(client, "shop");
        let begun = Instant::now();
        for _ in 0..1000 {
            assert_eq!(attest.fresh(), Vouched::NotKnown);
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(fake::asked(&log).len(), 1, "one dry run at a time");
    }

    #[tokio::test(start_paused = true)]
    async fn given_an_api_server_that_says_nothing_for_half_a_minute_when_asked_then_nobody_is_vouched_for_until_it_speaks() {
        let speaks = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let of_server = Arc::clone(&speaks);
        let (client, _) = fake::client(move |_| {
            let speaks = of_server.load(std::sync::atomic::Ordering::Relaxed);
            let status = |code: u16, message: &str| json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "", "code": code, "message": message});
            async move { if speaks { (403, status(403, BY_THE_POLICY)) } else { (503, status(503, "later")) } }
        });
        let attest = Attest::new(client, "shop");
        let begun = Instant::now();
        let until = async |wanted: Vouched| {
            while attest.fresh() != wanted {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(2 * SILENT, until(Vouched::No)).await.unwrap();
        assert!(begun.elapsed() >= SILENT, "{:?}", begun.elapsed());
        speaks.store(true, std::sync::atomic::Ordering::Relaxed);
        tokio::time::timeout(SILENT, until(Vouched::Yes)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn given_an_answer_that_is_old_when_asked_then_it_is_asked_anew_and_still_told_as_the_last() {
        let (client, log) = fake::client(|asked: fake::Asked| async move { (201, asked.body) });
        let attest = Attest::new(client, "shop");
        assert_eq!(told(&attest).await, Vouched::No);
        tokio::time::sleep(FRESH).await;
        assert_eq!((attest.last(), attest.fresh()), (Vouched::No, Vouched::NotKnown));
        assert_eq!(told(&attest).await, Vouched::No);
        assert_eq!(fake::asked(&log).len(), 2);
    }
}
