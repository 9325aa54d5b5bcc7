//! The picture: that all of it is in it, whatever the numbers.

use super::*;
use crate::{picture::Kind, simulate::outcome::tests::outcome};

fn fits(outcome: &Outcome) -> Picture {
    let picture = draw(outcome);
    let (least, most) = picture.reach();
    assert!(least.0 >= 0.0 && least.1 >= 0.0 && most.0 <= picture.size.0 && most.1 <= picture.size.1, "{least:?} {most:?}");
    picture
}

#[test]
fn given_a_simulation_when_drawn_then_all_of_it_is_in_the_picture_and_said_in_words() {
    let picture = fits(&outcome());
    assert!(
        picture.words.contains("1.5x under Firebreak: 20 % taken back, 5 % promoted, 286 requests failed"),
        "{}",
        picture.words
    );
    let svg = String::from_utf8(picture.stored(Kind::Svg).unwrap()).unwrap();
    assert!(svg.contains("<title>policy built-in, level medium, objective 99.9 %.") && !svg.contains("<text"), "{}", svg.len());
    assert!(picture.stored(Kind::Png).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn given_extreme_numbers_and_long_names_when_drawn_then_nothing_leaves_the_picture() {
    let mut outcome = outcome();
    outcome.service = "a-namespace-with-a-long-name/".to_owned() + &"checkout-".repeat(40);
    outcome.policy = "policy ".to_owned() + &"long-".repeat(80);
    for release in &mut outcome.releases {
        for under in &mut release.under {
            under.failed_requests.mean *= 1e7;
            under.taken_back_after = Some(crate::simulate::outcome::Spread { median: 0.1, p90: 1e6 });
        }
    }
    fits(&outcome);
    outcome.releases.clear();
    fits(&outcome);
}

#[test]
fn given_values_when_placed_on_a_scale_then_rising_and_within_it() {
    let scale = Scale { from: 10.0, to: 110.0, least: 1.0, most: 100.0 };
    let places: Vec<f32> = [-5.0, 0.0, 1.0, 10.0, 100.0, 1e9].map(|value| scale.place(value)).into();
    assert_eq!(places, [10.0, 10.0, 10.0, 60.0, 110.0, 110.0]);
}
