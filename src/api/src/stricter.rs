//! The stricter of two: what a namespace asks of a level, on top of what the cluster's policy asks.
//!
//! Field by field the stricter of the two holds, so that nothing a namespace writes can loosen anything, whatever the cluster's
//! policy becomes later. What is not stricter changes nothing and is named, so that whoever wrote it can be told.
//! Which of two is the stricter stands at each field of [`Tightening`].

use std::collections::BTreeSet;

use crate::{
    Span,
    policy::{Approval, Inconclusive, Level, StricterApproval, Tightening},
};

/// Stages of one level.
const MOST_STAGES: usize = 20;

/// A level that is at least as strict as both, and what of the namespace's changes nothing, in words.
#[must_use]
pub fn both(cluster: &Level, own: &Tightening) -> (Level, Vec<String>) {
    let mut level = cluster.clone();
    let mut ignored = Vec::new();
    let mut keep = |name: &str, own: Option<String>, cluster: String, stricter: bool| {
        if let Some(own) = own.filter(|_| !stricter) {
            ignored.push(format!("{name} {own} is looser than {cluster} of the cluster's policy"));
        }
    };
    let more = |cluster: f64, own: Option<f64>| own.map_or(cluster, |own| cluster.max(own));
    let less = |cluster: f64, own: Option<f64>| own.map_or(cluster, |own| cluster.min(own));
    let longer = |cluster: Span, own: Option<Span>| own.map_or(cluster, |own| cluster.max(own));
    let shorter = |cluster: Span, own: Option<Span>| own.map_or(cluster, |own| cluster.min(own));
    let number = |value: Option<f64>| value.map(|value| value.to_string());
    let span = |value: Option<Span>| value.map(|value| value.to_string());

    level.alpha = more(cluster.alpha, own.alpha);
    keep("alpha", number(own.alpha), cluster.alpha.to_string(), own.alpha >= Some(cluster.alpha));
    for (name, place, was, is) in [
        ("beta", &mut level.beta, cluster.beta, own.beta),
        ("margin", &mut level.margin, cluster.margin, own.margin),
        ("budgetPercent", &mut level.budget_percent, cluster.budget_percent, own.budget_percent),
        ("sloFactor", &mut level.slo_factor, cluster.slo_factor, own.slo_factor),
    ] {
        *place = less(was, is);
        keep(name, number(is), was.to_string(), is.is_none_or(|is| is <= was));
    }
    for (name, place, was, is) in [
        ("minBake", &mut level.min_bake, cluster.min_bake, own.min_bake),
        ("finalBake", &mut level.final_bake, cluster.final_bake, own.final_bake),
    ] {
        *place = longer(was, is);
        keep(name, span(is), was.to_string(), is.is_none_or(|is| is >= was));
    }
    level.no_data_after = shorter(cluster.no_data_after, own.no_data_after);
    let after = own.no_data_after.is_none_or(|own| own <= cluster.no_data_after);
    keep("noDataAfter", span(own.no_data_after), cluster.no_data_after.to_string(), after);
    level.holdback_percent = cluster.holdback_percent.max(own.holdback_percent.unwrap_or(0));
    let held = own.holdback_percent.is_none_or(|own| own >= cluster.holdback_percent);
    keep("holdbackPercent", own.holdback_percent.map(|own| own.to_string()), cluster.holdback_percent.to_string(), held);
    level.inconclusive = own.inconclusive.map_or(cluster.inconclusive, |own| cluster.inconclusive.max(own));
    let inconclusive = own.inconclusive.is_none_or(|own| own >= cluster.inconclusive);
    keep("inconclusive", own.inconclusive.map(|own| format!("{own:?}")), format!("{:?}", cluster.inconclusive), inconclusive);
    level.no_data = own.no_data.map_or(cluster.no_data, |own| cluster.no_data.max(own));
    let no_data = own.no_data.is_none_or(|own| own >= cluster.no_data);
    keep("noData", own.no_data.map(|own| format!("{own:?}")), format!("{:?}", cluster.no_data), no_data);

    // Where what is inconclusive is promoted, the later is the stricter; else it is the sooner that says so.
    let (later, bake) = match level.inconclusive {
        Inconclusive::Promote => (true, longer(cluster.max_bake, own.max_bake)),
        Inconclusive::Hold | Inconclusive::RollBack => (false, shorter(cluster.max_bake, own.max_bake)),
    };
    let stricter = own.max_bake.is_none_or(|own| if later { own >= cluster.max_bake } else { own <= cluster.max_bake });
    keep("maxBake", span(own.max_bake), cluster.max_bake.to_string(), stricter);
    level.max_bake = bake.max(level.min_bake);

    let (stages, left_out) = more_stages(&cluster.stages, &own.stages);
    if !left_out.is_empty() {
        ignored.push(format!("stages {left_out:?} are beyond the {MOST_STAGES} that a level can have"));
    }
    level.stages = stages;
    level.approval_at = asked(&level.stages, cluster.approval_at.iter().chain(&own.approval_at).copied());
    if let Some(own) = &own.approval {
        let anyone = Approval { count: 1, ..Approval::default() };
        let (approval, looser) = approvals(level.approval.unwrap_or(anyone), own);
        level.approval = Some(approval);
        ignored.extend(looser);
    }
    (level, ignored)
}

/// An approval that is at least as strict as the cluster's, with what of the namespace's is stricter; and what is not, in words.
fn approvals(cluster: Approval, own: &StricterApproval) -> (Approval, Vec<String>) {
    let mut ignored = Vec::new();
    let mut approval = cluster.clone();
    if let Some(count) = own.count {
        approval.count = cluster.count.max(count);
        if count < cluster.count {
            ignored.push(format!("approval.count {count} is looser than {} of the cluster's policy", cluster.count));
        }
    }
    if let Some(own) = own.expires_after {
        approval.expires_after = Some(cluster.expires_after.map_or(own, |cluster| cluster.min(own)));
        if let Some(cluster) = cluster.expires_after.filter(|cluster| own > *cluster) {
            ignored.push(format!("approval.expiresAfter {own} is looser than {cluster} of the cluster's policy"));
        }
    }
    // An empty list asks no group, so groups that have none in common with the cluster's cannot be met by an empty one.
    let (both, others): (Vec<String>, Vec<String>) =
        own.groups.iter().cloned().partition(|group| cluster.groups.is_empty() || cluster.groups.contains(group));
    if !both.is_empty() {
        approval.groups = both;
    }
    if !others.is_empty() {
        ignored.push(format!("approval.groups {others:?} are not among {:?} of the cluster's policy", cluster.groups));
    }
    (approval, ignored)
}

/// The level with a human asked before these percentages as well; 0 before any exposure.
#[must_use]
pub fn with_approvals(level: &Level, percents: impl IntoIterator<Item = i32>) -> Level {
    let approval_at = asked(&level.stages, level.approval_at.iter().copied().chain(percents));
    Level { approval_at, ..level.clone() }
}

/// The stages before which a human is asked: of each percentage the first stage of at least so much.
fn asked(stages: &[i32], percents: impl Iterator<Item = i32>) -> Vec<i32> {
    let stage = |percent: i32| stages.iter().copied().find(|stage| *stage >= percent).or(stages.last().copied());
    let asked: BTreeSet<i32> = percents.filter_map(stage).collect();
    asked.into_iter().collect()
}

/// The stages of both, no more than a level can have: the cluster's stay, of the namespace's the smallest come first. And those
/// that found no place.
fn more_stages(cluster: &[i32], own: &[i32]) -> (Vec<i32>, Vec<i32>) {
    let mut stages: BTreeSet<i32> = cluster.iter().copied().collect();
    let new: BTreeSet<i32> = own.iter().copied().filter(|stage| (1..=100).contains(stage)).collect();
    let mut left_out = Vec::new();
    for stage in new {
        if stages.contains(&stage) {
            continue;
        }
        if stages.len() < MOST_STAGES {
            stages.insert(stage);
        } else {
            left_out.push(stage);
        }
    }
    (stages.into_iter().collect(), left_out)
}
