//! Which pods of a target are read, where there are more than are to be.
//!
//! A pod that was chosen stays chosen as long as it lives: what it counts can be differenced then, and a pod that was counted
//! once and is not read any more would look like one whose readings are stale. So it is across processes as well: those that were
//! counted `before` come first. The choice is by a hash of the name: the same everywhere, and nothing that a pod does changes it.

use std::collections::{BTreeMap, BTreeSet};

use super::Address;
use crate::metrics::shape::Target;

/// Pods that are not in the sample are read once, so many of an arm in a round, to know that they can be.
const TRIED_AT_ONCE: usize = 20;

/// What was read of a target before this process did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Before {
    /// Pods that were counted.
    pub pods: BTreeSet<String>,
    /// Whether there were more.
    pub sampled: bool,
}

/// How many pods were read, where not all were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sampled {
    /// By the name of their `ReplicaSet`.
    pub arms: BTreeMap<String, Part>,
    /// Pods that were there before they were first read: what they had counted until then is nothing new.
    pub late: BTreeSet<String>,
}

/// How many ready pods of an arm are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// So many are read.
    pub read: u32,
    /// Of these.
    pub of: u32,
}

/// The choice, from round to round.
#[derive(Debug)]
pub(crate) struct Sample {
    most: usize,
    before: Before,
    first: bool,
    /// All pods that were there in the last round.
    met: BTreeSet<String>,
    chosen: BTreeSet<String>,
    late: BTreeSet<String>,
    /// Pods that are not chosen and could be read once.
    tried: BTreeSet<String>,
}

/// What a round reads.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Chosen {
    /// Pods whose counters are wanted.
    pub(crate) read: Vec<Address>,
    /// Pods that are only to be tried.
    pub(crate) tries: Vec<Address>,
    /// The others, and whether they could be read once.
    pub(crate) rest: Vec<(Address, bool)>,
    /// None where all are read, from their beginning.
    pub(crate) sampled: Option<Sampled>,
}

impl Sample {
    /// At most `most` pods of each arm.
    pub(crate) fn new(most: usize, before: Before) -> Self {
        let empty = BTreeSet::new;
        Self { most: most.max(1), before, first: true, met: empty(), chosen: empty(), late: empty(), tried: empty() }
    }

    /// The pods to read, of those that are there.
    pub(crate) fn choose(&mut self, target: &Target, there: Vec<Address>) -> Chosen {
        let mut arms: BTreeMap<&str, Vec<Address>> = BTreeMap::new();
        for address in there {
            if let Some(set) = target.set_of(&address.pod) {
                arms.entry(set).or_default().push(address);
            }
        }
        let here: BTreeSet<String> = arms.values().flatten().map(|address| address.pod.clone()).collect();
        for pods in [&mut self.chosen, &mut self.late, &mut self.tried] {
            pods.retain(|pod| here.contains(pod));
        }
        let mut chosen = Chosen::default();
        let mut parts = BTreeMap::new();
        for (set, arm) in arms {
            self.fill(&arm);
            let read = ready(arm.iter().filter(|pod| self.chosen.contains(&pod.pod)));
            parts.insert(set.to_owned(), Part { read, of: ready(arm.iter()) });
            self.assign(arm, &mut chosen);
        }
        // Where all are read again, some of them may still be late.
        if !self.late.is_empty() || parts.values().any(|part| part.read < part.of) {
            chosen.sampled = Some(Sampled { arms: parts, late: self.late.clone() });
        }
        (self.met, self.first) = (here, false);
        chosen
    }

    /// Notes that a pod could be read.
    pub(crate) fn could_be_read(&mut self, pod: &str) {
        self.tried.insert(pod.to_owned());
    }

    /// Fills what is free of an arm's places.
    fn fill(&mut self, arm: &[Address]) {
        let taken = arm.iter().filter(|pod| self.chosen.contains(&pod.pod)).count();
        let mut free: Vec<&Address> = arm.iter().filter(|pod| !self.chosen.contains(&pod.pod)).collect();
        let counted = |pod: &str| self.before.pods.contains(pod);
        // What comes just now is counted from its beginning: nothing of it is lost.
        let old =
            |pod: &str| self.met.contains(pod) || (self.first && !counted(pod) && (arm.len() > self.most || self.before.sampled));
        free.sort_by_cached_key(|pod| (!counted(&pod.pod), !pod.ready, old(&pod.pod), hash(&pod.pod), pod.pod.clone()));
        let joining: Vec<(String, bool)> =
            free.into_iter().take(self.most.saturating_sub(taken)).map(|pod| (pod.pod.clone(), old(&pod.pod))).collect();
        for (pod, late) in joining {
            if late {
                self.late.insert(pod.clone());
            }
            self.tried.remove(&pod);
            self.chosen.insert(pod);
        }
    }

    fn assign(&self, arm: Vec<Address>, chosen: &mut Chosen) {
        let mut tries = 0;
        for pod in arm {
            let tried = self.tried.contains(&pod.pod);
            if self.chosen.contains(&pod.pod) {
                chosen.read.push(pod);
            } else if !tried && pod.ready && tries < TRIED_AT_ONCE {
                tries += 1;
                chosen.tries.push(pod);
            } else {
                chosen.rest.push((pod, tried));
            }
        }
    }
}

fn ready<'a>(pods: impl Iterator<Item = &'a Address>) -> u32 {
    u32::try_from(pods.filter(|pod| pod.ready).count()).unwrap_or(u32::MAX)
}

/// FNV-1a, with its bits mixed: names that differ in their last letter alone come far apart.
fn hash(name: &str) -> u64 {
    let fnv = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn target() -> Target {
        Target::of("shop", &["shop-a".to_owned(), "shop-b".to_owned()])
    }

    fn pods(set: &str, numbers: std::ops::Range<u32>) -> Vec<Address> {
        let address = |number| Address { pod: format!("{set}-{number:05}"), ip: "10.0.0.1".parse().unwrap(), ready: true };
        numbers.map(address).collect()
    }

    fn names(pods: &[Address]) -> BTreeSet<String> {
        pods.iter().map(|pod| pod.pod.clone()).collect()
    }

    #[test]
    fn given_no_more_pods_than_may_be_read_when_chosen_then_all_are_and_nothing_is_said() {
        let mut sample = Sample::new(20, Before::default());
        let chosen = sample.choose(&target(), [pods("shop-a", 0..20), pods("shop-b", 0..2)].concat());
        assert_eq!((chosen.read.len(), chosen.sampled), (22, None));
    }

    #[test]
    fn given_more_pods_when_chosen_then_so_many_of_each_arm_and_the_same_ones_in_every_process() {
        let there = || [pods("shop-a", 0..63), pods("shop-b", 0..3)].concat();
        let chosen = Sample::new(20, Before::default()).choose(&target(), there());
        let mut turned = there();
        turned.reverse();
        let again = Sample::new(20, Before::default()).choose(&target(), turned);
        assert_eq!(names(&chosen.read), names(&again.read));
        let arms = chosen.sampled.unwrap().arms;
        assert_eq!((arms["shop-a"], arms["shop-b"]), (Part { read: 20, of: 63 }, Part { read: 3, of: 3 }));
    }

    #[test]
    fn given_pods_that_come_and_go_when_chosen_then_those_that_live_stay_and_only_those_who_were_there_before_are_late() {
        let mut sample = Sample::new(20, Before::default());
        let first = names(&sample.choose(&target(), pods("shop-a", 0..63)).read);
        let grown = names(&sample.choose(&target(), pods("shop-a", 0..90)).read);
        assert_eq!(first, grown);
        let gone = first.iter().next().unwrap();
        let left: Vec<Address> = pods("shop-a", 0..91).into_iter().filter(|pod| pod.pod != *gone).collect();
        let next = sample.choose(&target(), left);
        let joined: Vec<String> = names(&next.read).difference(&first).cloned().collect();
        assert_eq!(joined, ["shop-a-00090"], "the one that has just come: nothing of it is lost");
        assert!(!next.sampled.unwrap().late.contains("shop-a-00090"));
        let few: Vec<Address> = pods("shop-a", 0..91).into_iter().filter(|pod| !first.contains(&pod.pod)).take(10).collect();
        let few = sample.choose(&target(), few);
        assert_eq!(few.read.len(), 10);
        let sampled = few.sampled.unwrap();
        assert_eq!((sampled.late, sampled.arms["shop-a"]), (names(&few.read), Part { read: 10, of: 10 }));
    }

    #[test]
    fn given_pods_that_were_counted_before_when_chosen_then_they_come_first_and_the_others_are_late() {
        let there = pods("shop-a", 0..63);
        let counted: BTreeSet<String> = there.iter().rev().take(15).map(|pod| pod.pod.clone()).collect();
        let before = Before { pods: counted.clone(), sampled: true };
        let chosen = Sample::new(20, before).choose(&target(), there);
        let read = names(&chosen.read);
        assert!(counted.is_subset(&read) && read.len() == 20);
        assert_eq!(chosen.sampled.unwrap().late, read.difference(&counted).cloned().collect());
    }

    #[test]
    fn given_a_process_that_takes_up_what_was_not_sampled_when_chosen_then_new_pods_are_counted_from_their_beginning() {
        let before = Before { pods: names(&pods("shop-a", 0..5)), sampled: false };
        let chosen = Sample::new(20, before).choose(&target(), pods("shop-a", 0..8));
        assert_eq!((chosen.read.len(), chosen.sampled), (8, None));
    }

    #[test]
    fn given_pods_that_are_not_chosen_then_each_is_tried_until_it_could_be_read_once() {
        let mut sample = Sample::new(20, Before::default());
        let there = || pods("shop-a", 0..50);
        let first = sample.choose(&target(), there());
        assert_eq!((first.tries.len(), first.rest.len()), (TRIED_AT_ONCE, 10));
        first.tries.iter().for_each(|pod| sample.could_be_read(&pod.pod));
        let second = sample.choose(&target(), there());
        assert_eq!(second.tries.len(), 10);
        assert!(names(&first.tries).is_disjoint(&names(&second.tries)));
        second.tries.iter().for_each(|pod| sample.could_be_read(&pod.pod));
        let third = sample.choose(&target(), there());
        assert!(third.tries.is_empty() && third.rest.iter().all(|(_, could)| *could));
    }
}
