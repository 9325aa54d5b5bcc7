//! Goes round the pods of a target, every second.
//!
//! A counter that falls is a process that began anew, by its own start time or by its series; where some of these have vanished
//! instead, the pod is not read. What is wrong with one pod keeps no other from being read.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, stream};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    Address, Addresses, Job,
    counted::{self, Counted, Found, Owner},
    fetch::Fetcher,
    sample::{Chosen, Sample, Sampled},
};
use crate::metrics::{
    memory::Memory,
    poller::{Answer, Latest, now_ms},
    reading::PodSample,
    shape::Target,
    trouble::Trouble,
};

/// Every pod is read this often.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// Shortest pause between two rounds, whatever they took.
const BREATH: Duration = Duration::from_millis(100);
/// Pods of one target read at once.
const AT_ONCE: usize = 32;
/// Most Changes whose pods are read.
const MOST_READERS: usize = 128;
/// Rounds in which no ready pod of an arm could be read until that is what is told.
const BLIND_AFTER: u32 = 3;
static READERS: AtomicUsize = AtomicUsize::new(0);

/// A place among the readers.
struct Place;

impl Place {
    fn take() -> Result<Self, Trouble> {
        let taken = READERS.fetch_add(1, Ordering::Relaxed);
        let place = Self;
        if taken < MOST_READERS {
            Ok(place)
        } else {
            Err(Trouble::TooMany { what: "Changes whose pods are read", limit: MOST_READERS })
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        READERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads one target.
pub(super) struct Reader {
    fetcher: Fetcher,
    signals: Arc<[Counted]>,
    memories: Vec<Memory>,
    /// What each pod counted last.
    last: BTreeMap<String, Last>,
    target: Target,
    addresses: Addresses,
    sample: Sample,
    /// Rounds in which none of a ReplicaSet's ready pods could be read, without a break.
    blind: BTreeMap<String, u32>,
    answers: Vec<watch::Sender<Latest>>,
    sampled: watch::Sender<Option<Arc<Sampled>>>,
    _place: Place,
}

/// What a pod counted last: when its process began, and of each signal requests, failures and the number of series.
struct Last {
    started: Option<f64>,
    counts: Vec<Option<(u64, u64, usize)>>,
}

/// What one pod's page says, or why it cannot be read.
pub(super) type Read = Result<counted::Page, String>;

impl Reader {
    /// A reader that has read nothing.
    pub(super) fn new(
        signals: Vec<Counted>,
        job: Job,
        answers: Vec<watch::Sender<Latest>>,
        sampled: watch::Sender<Option<Arc<Sampled>>>,
    ) -> Result<Self, Trouble> {
        let place = Place::take()?;
        Ok(Self {
            memories: signals.iter().map(|_| Memory::default()).collect(),
            signals: signals.into(),
            last: BTreeMap::new(),
            sample: Sample::new(job.page.most_per_arm, job.before),
            blind: BTreeMap::new(),
            fetcher: Fetcher::new(job.page, job.read_key)?,
            target: job.target,
            addresses: job.addresses,
            answers,
            sampled,
            _place: place,
        })
    }

    pub(super) async fn run(mut self) {
        loop {
            let begun = Instant::now();
            self.round().await;
            sleep_until((begun + EVERY).max(Instant::now() + BREATH)).await;
        }
    }

    async fn round(&mut self) {
        let begun = Instant::now();
        let there = (self.addresses)();
        let Chosen { read, tries, mut rest, sampled } = self.sample.choose(&self.target, there);
        let ready: Vec<String> = read.iter().filter(|pod| pod.ready).map(|pod| pod.pod.clone()).collect();
        let ips: Vec<_> = read.iter().chain(&tries).map(|pod| pod.ip).collect();
        if let Err(trouble) = self.fetcher.renew(&ips).await {
            return self.tell(begun, |_, _| Err(trouble.clone()));
        }
        let (mut reads, tried) = {
            let reader = &*self;
            let all = read.into_iter().map(|pod| (pod, true)).chain(tries.into_iter().map(|pod| (pod, false)));
            let one = |(pod, counts): (Address, bool)| async move { (reader.read(&pod).await, pod, counts) };
            let all: Vec<(Read, Address, bool)> = stream::iter(all.map(one)).buffer_unordered(AT_ONCE).collect().await;
            let (counted, tried): (Vec<_>, Vec<_>) = all.into_iter().partition(|(.., counts)| *counts);
            let counted: BTreeMap<String, Read> = counted.into_iter().map(|(read, pod, _)| (pod.pod, read)).collect();
            (counted, tried)
        };
        for (read, pod, _) in tried {
            if read.is_ok() {
                self.sample.could_be_read(&pod.pod);
            }
            rest.push((pod, read.is_ok()));
        }
        for (pod, read) in &mut reads {
            self.compare(pod, read);
        }
        self.last.retain(|pod, _| reads.contains_key(pod));
        // Before the answers: whoever has one of these finds it.
        self.sampled.send_replace(sampled.map(Arc::new));
        let (namespace, shown) = (self.target.namespace.clone(), self.fetcher.shown());
        let blind = self.blind(&ready, &reads);
        self.tell(begun, |signal, _| {
            if let Some(detail) = &blind {
                return Err(Trouble::PagesUnread { url: shown.clone(), detail: detail.clone() });
            }
            let samples = answer(&namespace, &shown, &reads, signal)?;
            Ok(samples.into_iter().chain(rest.iter().map(|(pod, could)| beside(&namespace, &pod.pod, *could))).collect())
        });
    }

    /// Why an arm cannot be read, where none of its ready pods can: one pod's trouble is its own, but nothing is compared without
    /// an arm.
    fn blind(&mut self, ready: &[String], reads: &BTreeMap<String, Read>) -> Option<String> {
        let mut arms: BTreeMap<&str, Option<String>> = BTreeMap::new();
        for (pod, read) in ready.iter().filter_map(|pod| Some((pod, reads.get(pod)?))) {
            let Some(set) = self.target.set_of(pod) else { continue };
            let why = read.as_ref().err().map(|why| format!("pod {pod}: {why}"));
            arms.entry(set).and_modify(|first| *first = first.take().filter(|_| why.is_some())).or_insert(why);
        }
        let rounds = |set: &str| self.blind.get(set).copied().unwrap_or(0).saturating_add(1);
        let blind: BTreeMap<String, (u32, String)> =
            arms.into_iter().filter_map(|(set, why)| Some((set.to_owned(), (rounds(set), why?)))).collect();
        self.blind = blind.iter().map(|(set, (rounds, _))| (set.clone(), *rounds)).collect();
        blind.into_values().find(|(rounds, _)| *rounds >= BLIND_AFTER).map(|(_, why)| why)
    }

    /// Whether what fell began anew; else some series have vanished, and the pod counts as not read.
    fn compare(&mut self, pod: &str, read: &mut Read) {
        let Ok(page) = read else { return };
        let counts: Vec<Option<(u64, u64, usize)>> =
            page.signals.iter().map(|found| found.as_ref().ok().and_then(counts)).collect();
        let mut anew = false;
        if let Some(last) = self.last.get(pod) {
            let restarted = last.started.zip(page.started).map(|(before, now)| now > before);
            let pairs = last.counts.iter().zip(&counts).filter_map(|(before, now)| Some(((*before)?, (*now)?)));
            let fell: Vec<_> = pairs.filter(|(before, now)| now.0 < before.0).collect();
            anew = restarted.unwrap_or(!fell.is_empty());
            // Without a start time, the same number of series is a new beginning, and fewer are a loss.
            let lost = !fell.is_empty()
                && (restarted == Some(false) || restarted.is_none() && fell.iter().any(|(before, now)| now.2 < before.2));
            if lost {
                *read = Err("its requests fell although its process did not begin anew: some series have vanished".to_owned());
                return;
            }
        }
        if anew {
            self.memories.iter_mut().for_each(|memory| memory.forget(pod));
        }
        self.last.insert(pod.to_owned(), Last { started: page.started, counts });
    }

    /// Gives each signal what was read of it.
    fn tell(&mut self, begun: Instant, of: impl Fn(usize, i64) -> Result<Vec<PodSample>, Trouble>) {
        let at_ms = now_ms();
        let took = begun.elapsed();
        for (signal, (sender, memory)) in self.answers.iter().zip(&mut self.memories).enumerate() {
            let result = of(signal, at_ms).map(|samples| {
                let namespace = &self.target.namespace;
                let mend = |sample: PodSample| {
                    let mut one = [sample];
                    // What contradicts itself is one pod's, and so is what follows.
                    match memory.apply(&mut one, at_ms) {
                        Ok(()) => one.into_iter().next(),
                        Err(trouble) => {
                            tracing::debug!(%trouble, "not judged");
                            one.first().map(|sample| unread(namespace, &sample.pod))
                        }
                    }
                };
                samples.into_iter().filter_map(mend).collect()
            });
            let answer = Answer { at_ms, took, scrape_interval: Some(EVERY.max(took)), backend_ahead_ms: None, result };
            sender.send_replace(Some(Arc::new(answer)));
        }
    }

    async fn read(&self, address: &Address) -> Read {
        let page = self.fetcher.get(address.ip).await?;
        let (signals, read_at_ms) = (Arc::clone(&self.signals), now_ms());
        let (namespace, pod) = (self.target.namespace.clone(), address.pod.clone());
        // A long page under a costly pattern takes a thread of its own, not one that others' turns wait for.
        let counted = tokio::task::spawn_blocking(move || {
            counted::count_all(&page.text, page.open_metrics, &signals, Owner { namespace: &namespace, pod: &pod }, read_at_ms)
        });
        counted.await.map_err(|error| error.to_string())?
    }
}

/// What counts of a signal can be differenced.
fn counts(found: &Found) -> Option<(u64, u64, usize)> {
    Some((found.sample.requests?, found.sample.failures?, found.series))
}

/// What was read of a signal. A pod that cannot be read is known, and so is that it could not be read; where none can, why.
fn answer(namespace: &str, shown: &str, reads: &BTreeMap<String, Read>, signal: usize) -> Result<Vec<PodSample>, Trouble> {
    let mut first: Option<Trouble> = None;
    let mut samples = Vec::new();
    let mut any = reads.is_empty();
    for (pod, read) in reads {
        let found = match read {
            Ok(page) => match page.signals.get(signal) {
                Some(found) => found.clone(),
                None => continue,
            },
            Err(why) => Err(Trouble::PagesUnread { url: shown.to_owned(), detail: format!("pod {pod}: {why}") }),
        };
        match found {
            Ok(found) => {
                any = true;
                samples.push(found.sample);
            }
            Err(trouble) => {
                tracing::debug!(pod, %trouble, "metrics page not read");
                first.get_or_insert(trouble);
                samples.push(unread(namespace, pod));
            }
        }
    }
    match first {
        Some(trouble) if !any => Err(trouble),
        _ => Ok(samples),
    }
}

/// A pod whose counters are not known.
fn unread(namespace: &str, pod: &str) -> PodSample {
    PodSample {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        requests: None,
        failures: None,
        failures_exist: false,
        siblings: false,
        scraped_at_ms: None,
        up: Some(false),
    }
}

/// A pod beside the sample, and whether it could be read when that was tried.
fn beside(namespace: &str, pod: &str, could_be_read: bool) -> PodSample {
    PodSample { up: could_be_read.then_some(true), ..unread(namespace, pod) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::metrics::pods::{Access, Before, Page};

    fn reader() -> Reader {
        let job = Job {
            target: Target::of("shop", &["shop-a".to_owned(), "shop-b".to_owned()]),
            page: Page { port: 1, path: "/".to_owned(), access: Access::Plain, most_per_arm: 50 },
            addresses: Arc::new(Vec::new),
            read_key: Arc::new(|_| unreachable!("no key is named")),
            before: Before::default(),
        };
        let mut reader = Reader::new(Vec::new(), job, Vec::new(), watch::channel(None).0).unwrap();
        reader.memories = vec![Memory::default()];
        reader
    }

    fn page(started: Option<f64>, requests: u64, failures: u64, series: usize) -> Read {
        let sample = PodSample {
            requests: Some(requests),
            failures: Some(failures),
            failures_exist: true,
            siblings: true,
            up: Some(true),
            ..unread("shop", "shop-a-22222")
        };
        Ok(counted::Page { started, signals: vec![Ok(Found { sample, series })] })
    }

    #[test]
    fn given_one_pod_that_cannot_be_read_then_the_others_are_and_it_is_known() {
        let reads = BTreeMap::from([("a".to_owned(), page(None, 5, 1, 2)), ("b".to_owned(), Err("refused".to_owned()))]);
        let samples = answer("shop", "http://POD", &reads, 0).unwrap();
        assert_eq!(samples.iter().map(|sample| sample.requests).collect::<Vec<_>>(), [Some(5), None]);
        let none = BTreeMap::from([("b".to_owned(), Err("refused".to_owned()))]);
        assert!(answer("shop", "http://POD", &none, 0).unwrap_err().to_string().contains("pod b: refused"));
    }

    #[rstest::rstest]
    #[case::began_anew(Some(1.0), Some(2.0), (100, 5, 3), (10, 0, 1), true)]
    #[case::series_vanished(Some(1.0), Some(1.0), (100, 5, 3), (10, 5, 2), false)]
    #[case::no_start_time_and_all_series(None, None, (100, 5, 3), (10, 0, 3), true)]
    #[case::no_start_time_and_fewer_series(None, None, (100, 5, 3), (10, 5, 2), false)]
    #[tokio::test]
    async fn given_counters_that_fell_then_they_began_anew_or_the_pod_is_not_read(
        #[case] before: Option<f64>,
        #[case] now: Option<f64>,
        #[case] first: (u64, u64, usize),
        #[case] second: (u64, u64, usize),
        #[case] read: bool,
    ) {
        let mut reader = reader();
        reader.compare("shop-a-22222", &mut page(before, first.0, first.1, first.2));
        let mut again = page(now, second.0, second.1, second.2);
        reader.compare("shop-a-22222", &mut again);
        assert_eq!(again.is_ok(), read);
    }

    #[tokio::test]
    async fn given_an_arm_of_which_no_ready_pod_can_be_read_for_three_rounds_then_why() {
        let mut reader = reader();
        let ready = ["shop-a-22222", "shop-b-33333", "shop-b-44444"].map(str::to_owned);
        let failed = || Err("status 401".to_owned());
        let mut reads =
            BTreeMap::from([(ready[0].clone(), page(None, 5, 1, 2)), (ready[1].clone(), failed()), (ready[2].clone(), failed())]);
        assert_eq!([reader.blind(&ready, &reads), reader.blind(&ready, &reads)], [None, None]);
        assert_eq!(reader.blind(&ready, &reads).unwrap(), "pod shop-b-33333: status 401");
        assert_eq!(reader.blind(&ready[..1], &reads), None, "pods that serve nobody hold up nothing");
        reads.insert(ready[2].clone(), page(None, 5, 1, 2));
        assert_eq!((0..4).filter_map(|_| reader.blind(&ready, &reads)).count(), 0, "one of them can be read");
    }
}
