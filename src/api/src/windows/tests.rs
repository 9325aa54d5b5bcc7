#![allow(clippy::unwrap_used)]
use rstest::rstest;
use serde_json::json;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn again(schedule: &str, duration: &str, zone: &str) -> Calendar {
    let freeze = serde_json::from_value(json!({"name": "f", "schedule": schedule, "duration": duration})).unwrap();
    Calendar::of(&freeze, zone).unwrap()
}

fn window(since: &str, until: &str) -> Window {
    Window { since: at(since), until: at(until) }
}

const WEEKEND: (&str, &str) = ("0 17 * * 5", "62h");

#[rstest]
#[case::the_minute_before("2026-12-04T15:59:59.999Z", None)]
#[case::its_first_instant("2026-12-04T16:00:00Z", Some(("2026-12-04T16:00:00Z", "2026-12-07T06:00:00Z")))]
#[case::within_a_second("2026-12-04T16:00:00.4Z", Some(("2026-12-04T16:00:00Z", "2026-12-07T06:00:00Z")))]
#[case::on_sunday("2026-12-06T12:34:56.789Z", Some(("2026-12-04T16:00:00Z", "2026-12-07T06:00:00Z")))]
#[case::its_last_instant("2026-12-07T05:59:59.999Z", Some(("2026-12-04T16:00:00Z", "2026-12-07T06:00:00Z")))]
#[case::right_after("2026-12-07T06:00:00Z", None)]
fn given_a_weekly_schedule_in_a_zone_when_asked_then_it_is_open_from_its_moment_for_its_duration(
    #[case] now: &str,
    #[case] open: Option<(&str, &str)>,
) {
    let state = again(WEEKEND.0, WEEKEND.1, "Europe/Zurich").at(at(now));
    match open {
        Some((since, until)) => assert_eq!(state, State::Open(window(since, until))),
        None => assert!(matches!(state, State::Closed(Some(_))), "{state:?}"),
    }
}

/// The clocks of Zurich go from 02:00 to 03:00 on 2026-03-29 and from 03:00 to 02:00 on 2026-10-25.
#[rstest]
#[case::moment_in_the_gap("30 2 * * *", "1h", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z")]
#[case::window_over_the_gap("0 22 * * 6", "9h", "2026-03-29T05:00:00Z", "2026-03-28T21:00:00Z", "2026-03-29T06:00:00Z")]
#[case::moment_in_the_fold("30 2 * * *", "30m", "2026-10-25T00:45:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z")]
#[case::window_over_the_fold("0 22 * * 6", "9h", "2026-10-25T04:59:00Z", "2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z")]
fn given_clocks_that_jump_when_asked_then_the_window_is_not_lost_and_as_long_as_ever(
    #[case] schedule: &str,
    #[case] duration: &str,
    #[case] now: &str,
    #[case] since: &str,
    #[case] until: &str,
) {
    assert_eq!(again(schedule, duration, "Europe/Zurich").at(at(now)), State::Open(window(since, until)));
}

#[test]
fn given_a_moment_that_the_clocks_show_twice_when_its_window_is_over_then_it_does_not_open_again() {
    let state = again("30 2 * * *", "30m", "Europe/Zurich").at(at("2026-10-25T01:45:00Z"));
    assert_eq!(state, State::Closed(Some(window("2026-10-26T01:30:00Z", "2026-10-26T02:00:00Z"))));
}

#[test]
fn given_days_that_touch_when_asked_then_they_are_one_window_even_where_a_day_has_23_hours() {
    let calendar = again("0 0 * * 6,0", "24h", "Europe/Zurich");
    let one = window("2026-03-27T23:00:00Z", "2026-03-29T23:00:00Z");
    for now in ["2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", "2026-03-29T22:30:00Z"] {
        assert_eq!(calendar.at(at(now)), State::Open(one), "{now}");
    }
    assert_eq!(calendar.at(at("2026-03-26T12:00:00Z")), State::Closed(Some(one)));
}

#[rstest]
#[case::before("2026-12-19T11:59:59Z", State::Closed(Some(window("2026-12-19T12:00:00Z", "2027-01-04T06:00:00Z"))))]
#[case::first("2026-12-19T12:00:00Z", State::Open(window("2026-12-19T12:00:00Z", "2027-01-04T06:00:00Z")))]
#[case::after("2027-01-04T06:00:00Z", State::Closed(None))]
fn given_one_window_when_asked_then_it_is_open_once(#[case] now: &str, #[case] state: State) {
    let freeze = json!({"name": "f", "from": "2026-12-19T13:00:00+01:00", "until": "2027-01-04T06:00:00Z"});
    assert_eq!(Calendar::of(&serde_json::from_value(freeze).unwrap(), "UTC").unwrap().at(at(now)), state);
}

#[rstest]
#[case::no_cron(json!({"schedule": "every friday at five pm", "duration": "1h"}), "UTC", "is no cron")]
#[case::seconds(json!({"schedule": "0 0 17 * * 5", "duration": "1h"}), "UTC", "has 6 fields; write five")]
#[case::hour_25(json!({"schedule": "0 25 * * 5", "duration": "1h"}), "UTC", "is no cron")]
#[case::no_zone(json!({"schedule": "0 17 * * 5", "duration": "1h"}), "Europe/Atlantis", "there is no time zone Europe/Atlantis")]
#[case::no_such_day(json!({"schedule": "0 0 30 2 *", "duration": "1h"}), "UTC", "never comes")]
#[case::never_ends(json!({"schedule": "* * * * *", "duration": "1h"}), "UTC", "never ends")]
#[case::neither(json!({}), "UTC", "write schedule and duration, or from and until")]
#[case::half(json!({"schedule": "0 17 * * 5"}), "UTC", "write schedule and duration, or from and until")]
#[case::backwards(json!({"from": "2026-12-19T13:00:00Z", "until": "2026-12-18T13:00:00Z"}), "UTC", "from must be before until")]
fn given_a_freeze_that_cannot_be_used_when_checked_then_it_says_what_to_write(
    #[case] mut freeze: serde_json::Value,
    #[case] zone: &str,
    #[case] words: &str,
) {
    freeze["name"] = json!("f");
    let began = std::time::Instant::now();
    let freeze: Freeze = serde_json::from_value(freeze).unwrap();
    let refused = crate::freezes::check(&[freeze], Some(zone)).unwrap_err();
    assert!(refused.contains(words) && refused.starts_with("freeze f: "), "{refused}");
    assert!(began.elapsed().as_millis() < 500, "the search took {:?}", began.elapsed());
}

#[rstest]
#[case::fridays("0 17 * * 5", "62h")]
#[case::last_of_the_month("0 9 L * *", "48h")]
#[case::leap_day("0 0 29 2 *", "24h")]
#[case::names("0 20 * * MON-FRI", "10h")]
#[case::nights("0 18 * * *", "13h")]
fn given_a_usual_schedule_when_checked_then_it_can_be_used(#[case] schedule: &str, #[case] duration: &str) {
    let calendar = again(schedule, duration, "America/New_York");
    calendar.check().unwrap();
    assert!(matches!(calendar.at(at("2026-12-01T17:00:00Z")), State::Closed(Some(_)) | State::Open(_)));
}

proptest::proptest! {
    /// What it says of a moment agrees with a count of its moments one by one, and holds until it says.
    #[test]
    fn given_any_moment_when_asked_then_open_is_within_the_duration_of_a_moment_and_stays_until_it_says(
        minutes in 0i64..(2 * 366 * 24 * 60), seconds in 0i64..60, hour in 0u8..24, minute in 0u8..60, hours in 1u32..23,
        zone in proptest::sample::select(vec!["UTC", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe"]),
    ) {
        let calendar = again(&format!("{minute} {hour} * * *"), &format!("{hours}h"), zone);
        let now = Timestamp::from_second(1_770_000_000 + minutes * 60 + seconds).unwrap();
        let state = calendar.at(now);
        let local = now.to_zoned(time_zone(zone).unwrap());
        // The moments of the day before, this day and the next, by the wall clock; a gap moves them to its end.
        let moments = (-2i64..=2).map(|day| {
            let day = local.date().checked_add(jiff::Span::new().days(day)).unwrap();
            day.at(i8::try_from(hour).unwrap(), i8::try_from(minute).unwrap(), 0, 0)
        });
        let lasts = SignedDuration::from_hours(i64::from(hours));
        let open = moments.map(|civil| {
            let ambiguous = local.time_zone().to_ambiguous_zoned(civil);
            let gap = matches!(ambiguous.offset(), jiff::tz::AmbiguousOffset::Gap { .. });
            let shown = ambiguous.compatible().unwrap().timestamp();
            // The clocks jumped to it right before.
            if gap { local.time_zone().preceding(shown).next().unwrap().timestamp() } else { shown }
        }).any(|began| began <= now && now < began.checked_add(lasts).unwrap());
        proptest::prop_assert_eq!(matches!(state, State::Open(_)), open, "{:?} at {}", state, local);
        let until = state.until().unwrap();
        proptest::prop_assert!(until > now);
        let just_before = until.checked_sub(SignedDuration::from_millis(1)).unwrap();
        proptest::prop_assert_eq!(matches!(calendar.at(just_before), State::Open(_)), open);
        proptest::prop_assert_eq!(matches!(calendar.at(until), State::Open(_)), !open);
    }
}
